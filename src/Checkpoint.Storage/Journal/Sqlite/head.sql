-- The end of a stream. Rows marked as deleted count: they keep the highest sequence number.
SELECT sequence_number, message FROM journal WHERE persistence_id = ?1 ORDER BY sequence_number DESC LIMIT 1;
