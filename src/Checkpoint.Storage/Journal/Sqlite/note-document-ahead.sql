INSERT INTO state_document_ahead (persistence_id, number, sequence_number) VALUES (?1, ?2, ?3)
ON CONFLICT (persistence_id) DO UPDATE SET number = excluded.number, sequence_number = excluded.sequence_number;
