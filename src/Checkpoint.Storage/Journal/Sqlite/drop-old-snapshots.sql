-- The newest two stay, as Akka keeps several: the older one costs little and outlives a faulty newer one.
DELETE FROM snapshot WHERE persistence_id = ?1 AND sequence_number < (
    SELECT sequence_number FROM snapshot WHERE persistence_id = ?1 ORDER BY sequence_number DESC LIMIT 1 OFFSET 1);
