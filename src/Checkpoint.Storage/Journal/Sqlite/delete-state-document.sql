DELETE FROM state_document WHERE persistence_id = ?1 AND number = ?2;
