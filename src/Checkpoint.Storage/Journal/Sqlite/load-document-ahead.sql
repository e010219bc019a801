SELECT number, sequence_number FROM state_document_ahead WHERE persistence_id = ?1;
