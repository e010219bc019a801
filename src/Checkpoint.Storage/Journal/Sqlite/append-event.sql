INSERT INTO journal (created, deleted, persistence_id, sequence_number, message, manifest, identifier, writer_uuid)
VALUES (?1, 0, ?2, ?3, ?4, ?5, ?6, ?7);
