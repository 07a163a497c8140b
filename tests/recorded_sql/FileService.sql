-- GetFile (messages: 1, statements: 1)
-- 1
SELECT id, name, size, type, status, owner_id, key, created_at, sent_at FROM files WHERE id = $1 AND ( $3 OR owner_id = $2 OR EXISTS ( SELECT FROM message_files JOIN messages ON messages.id = message_id JOIN conversations ON conversations.id = conversation_id WHERE file_id = files.id AND $2 IN (starter_id, conversations.owner_id) ) OR EXISTS ( SELECT FROM delivery_files JOIN orders ON orders.id = order_id WHERE file_id = files.id AND $2 IN (buyer_id, seller_id) ) );

-- UploadFile (messages: 5, statements: 6)
-- 1
SELECT count(*) AS files, coalesce(sum(size), 0)::bigint AS bytes FROM files WHERE owner_id = $1 AND sent_at IS NULL;
-- 2
BEGIN;
SELECT pg_advisory_xact_lock(hashtextextended('files:' || $1::text, 0));
-- 3
SELECT count(*) AS files, coalesce(sum(size), 0)::bigint AS bytes FROM files WHERE owner_id = $1 AND sent_at IS NULL;
-- 4
INSERT INTO files (id, owner_id, key, name, size, type, status, created_at) SELECT $1, $2, $3, $4, $5, $6, $7, app_now() WHERE NOT EXISTS (SELECT FROM erased_users WHERE user_id = $2 AND is_closed) RETURNING id, name, size, type, status, owner_id, key, created_at, sent_at;
-- 5
COMMIT;
