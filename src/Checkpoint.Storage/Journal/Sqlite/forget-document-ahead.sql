-- Its event has come, or another one in its place.
DELETE FROM state_document_ahead WHERE persistence_id = ?1 AND sequence_number <= ?2;
