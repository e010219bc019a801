INSERT INTO snapshot (persistence_id, sequence_number, created, snapshot, manifest, serializer_id)
VALUES (?1, ?2, ?3, ?4, ?5, ?6)
ON CONFLICT (persistence_id, sequence_number) DO UPDATE SET
    created = excluded.created, snapshot = excluded.snapshot, manifest = excluded.manifest, serializer_id = excluded.serializer_id;
