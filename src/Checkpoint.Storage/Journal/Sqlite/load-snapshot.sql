SELECT sequence_number, serializer_id, manifest, snapshot FROM snapshot
WHERE persistence_id = ?1 ORDER BY sequence_number DESC LIMIT 1;
