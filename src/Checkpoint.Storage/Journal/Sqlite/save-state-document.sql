-- A document left over under this number belongs to a checkpoint that was never committed.
INSERT INTO state_document (persistence_id, number, created, document) VALUES (?1, ?2, ?3, ?4)
ON CONFLICT (persistence_id, number) DO UPDATE SET created = excluded.created, document = excluded.document;
