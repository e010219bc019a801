-- One step through the unique index for each stream, however long the streams are. '.' is the character after '-'.
WITH RECURSIVE stream (id) AS (
    SELECT MIN(persistence_id) FROM journal WHERE persistence_id > 'vm-' AND persistence_id < 'vm.'
    UNION ALL
    SELECT (SELECT MIN(persistence_id) FROM journal WHERE persistence_id > stream.id AND persistence_id < 'vm.')
    FROM stream WHERE stream.id IS NOT NULL
)
SELECT id FROM stream WHERE id IS NOT NULL;
