SELECT number FROM state_document WHERE persistence_id = ?1 ORDER BY number;
