SELECT sequence_number, identifier, manifest, message FROM journal
WHERE persistence_id = ?1 AND sequence_number > ?2 AND deleted = 0 ORDER BY sequence_number LIMIT ?3;
