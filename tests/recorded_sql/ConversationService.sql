-- BlockUser (messages: 3, statements: 5)
-- 1
BEGIN;
SELECT id FROM conversations WHERE least(starter_id, owner_id) = least($1::uuid, $2::uuid) AND greatest(starter_id, owner_id) = greatest($1::uuid, $2::uuid) FOR UPDATE;
-- 2
INSERT INTO blocks (blocker_id, blocked_id, since) VALUES ($1, $2, app_now()) ON CONFLICT DO NOTHING;
SELECT blocked_id AS user_id, since FROM blocks WHERE blocker_id = $1 AND blocked_id = $2;
-- 3
COMMIT;

-- GetConversation (messages: 1, statements: 1)
-- 1
SELECT conversation.*, starter.username AS starter_name, owner.username AS owner_name, ( SELECT json_build_object( 'id', messages.id, 'conversation_id', messages.conversation_id, 'number', messages.number, 'from_id', messages.from_id, 'username', people.username, 'text', messages.text, 'at', messages.at, 'starter_wrote', messages.starter_wrote, 'owner_wrote', messages.owner_wrote, 'order_id', messages.order_id, 'offer_id', messages.offer_id, 'is_removed', messages.is_removed, 'files', ( SELECT json_agg(json_build_array(files.id, files.name, files.size, files.type) ORDER BY sent.position) FROM message_files AS sent JOIN files ON files.id = sent.file_id WHERE sent.message_id = messages.id ) ) FROM messages LEFT JOIN people ON people.id = messages.from_id WHERE messages.id = (SELECT id FROM messages WHERE conversation_id = conversation.id AND number = conversation.last_number) ) AS last_message FROM (SELECT id, starter_id, owner_id, gig_id, created_at, last_number, last_at, starter_read, owner_read FROM conversations WHERE id = $1) AS conversation LEFT JOIN people AS starter ON starter.id = conversation.starter_id LEFT JOIN people AS owner ON owner.id = conversation.owner_id;

-- ListBlocks (messages: 1, statements: 1)
-- 1
SELECT blocked_id AS user_id, since FROM blocks WHERE blocker_id = $1 AND (since, blocked_id) < ($2::timestamptz, $3::uuid) ORDER BY since DESC, blocked_id DESC LIMIT (SELECT $4::integer);

-- ListBlocks: a user whose name is new to the worker (messages: 2, statements: 2)
-- 1
INSERT INTO people AS known (id, username) SELECT $1, $2 WHERE NOT EXISTS (SELECT FROM people WHERE id = $1 AND username = $2) ON CONFLICT (id) DO UPDATE SET username = excluded.username;
-- 2
SELECT blocked_id AS user_id, since FROM blocks WHERE blocker_id = $1 AND (since, blocked_id) < ($2::timestamptz, $3::uuid) ORDER BY since DESC, blocked_id DESC LIMIT (SELECT $4::integer);

-- ListConversations (messages: 1, statements: 1)
-- 1
SELECT conversation.*, starter.username AS starter_name, owner.username AS owner_name, ( SELECT json_build_object( 'id', messages.id, 'conversation_id', messages.conversation_id, 'number', messages.number, 'from_id', messages.from_id, 'username', people.username, 'text', messages.text, 'at', messages.at, 'starter_wrote', messages.starter_wrote, 'owner_wrote', messages.owner_wrote, 'order_id', messages.order_id, 'offer_id', messages.offer_id, 'is_removed', messages.is_removed, 'files', ( SELECT json_agg(json_build_array(files.id, files.name, files.size, files.type) ORDER BY sent.position) FROM message_files AS sent JOIN files ON files.id = sent.file_id WHERE sent.message_id = messages.id ) ) FROM messages LEFT JOIN people ON people.id = messages.from_id WHERE messages.id = (SELECT id FROM messages WHERE conversation_id = conversation.id AND number = conversation.last_number) ) AS last_message FROM ( SELECT * FROM (( SELECT id, starter_id, owner_id, gig_id, created_at, last_number, last_at, starter_read, owner_read FROM conversations WHERE starter_id = $1 AND (last_at, id) < ($2::timestamptz, $3::uuid) ORDER BY last_at DESC, id DESC LIMIT (SELECT $4::integer) ) UNION ALL ( SELECT id, starter_id, owner_id, gig_id, created_at, last_number, last_at, starter_read, owner_read FROM conversations WHERE owner_id = $1 AND (last_at, id) < ($2::timestamptz, $3::uuid) ORDER BY last_at DESC, id DESC LIMIT (SELECT $4::integer) )) AS both_sides ORDER BY last_at DESC, id DESC LIMIT (SELECT $4::integer) ) AS conversation LEFT JOIN people AS starter ON starter.id = conversation.starter_id LEFT JOIN people AS owner ON owner.id = conversation.owner_id ORDER BY conversation.last_at DESC, conversation.id DESC;

-- ListMessages (messages: 1, statements: 1)
-- 1
SELECT starter_id, owner_id, bound.number AS bound, page.message FROM conversations AS conversation LEFT JOIN messages AS bound ON bound.id = $2 AND bound.conversation_id = conversation.id LEFT JOIN LATERAL ( SELECT number, ( SELECT json_build_object( 'id', messages.id, 'conversation_id', messages.conversation_id, 'number', messages.number, 'from_id', messages.from_id, 'username', people.username, 'text', messages.text, 'at', messages.at, 'starter_wrote', messages.starter_wrote, 'owner_wrote', messages.owner_wrote, 'order_id', messages.order_id, 'offer_id', messages.offer_id, 'is_removed', messages.is_removed, 'files', ( SELECT json_agg(json_build_array(files.id, files.name, files.size, files.type) ORDER BY sent.position) FROM message_files AS sent JOIN files ON files.id = sent.file_id WHERE sent.message_id = messages.id ) ) FROM messages LEFT JOIN people ON people.id = messages.from_id WHERE messages.id = row.id ) AS message FROM ( SELECT id, number FROM messages WHERE conversation_id = conversation.id AND number < coalesce($3::bigint, bound.number) ORDER BY number DESC LIMIT (SELECT $4::integer) ) AS row ) AS page ON true WHERE conversation.id = $1 ORDER BY page.number DESC;

-- ListMessages: after a message (messages: 1, statements: 1)
-- 1
SELECT starter_id, owner_id, bound.number AS bound, page.message FROM conversations AS conversation LEFT JOIN messages AS bound ON bound.id = $2 AND bound.conversation_id = conversation.id LEFT JOIN LATERAL ( SELECT number, ( SELECT json_build_object( 'id', messages.id, 'conversation_id', messages.conversation_id, 'number', messages.number, 'from_id', messages.from_id, 'username', people.username, 'text', messages.text, 'at', messages.at, 'starter_wrote', messages.starter_wrote, 'owner_wrote', messages.owner_wrote, 'order_id', messages.order_id, 'offer_id', messages.offer_id, 'is_removed', messages.is_removed, 'files', ( SELECT json_agg(json_build_array(files.id, files.name, files.size, files.type) ORDER BY sent.position) FROM message_files AS sent JOIN files ON files.id = sent.file_id WHERE sent.message_id = messages.id ) ) FROM messages LEFT JOIN people ON people.id = messages.from_id WHERE messages.id = row.id ) AS message FROM ( SELECT id, number FROM messages WHERE conversation_id = conversation.id AND number > coalesce($3::bigint, bound.number) ORDER BY number ASC LIMIT (SELECT $4::integer) ) AS row ) AS page ON true WHERE conversation.id = $1 ORDER BY page.number ASC;

-- ListMessages: before a message (messages: 1, statements: 1)
-- 1
SELECT starter_id, owner_id, bound.number AS bound, page.message FROM conversations AS conversation LEFT JOIN messages AS bound ON bound.id = $2 AND bound.conversation_id = conversation.id LEFT JOIN LATERAL ( SELECT number, ( SELECT json_build_object( 'id', messages.id, 'conversation_id', messages.conversation_id, 'number', messages.number, 'from_id', messages.from_id, 'username', people.username, 'text', messages.text, 'at', messages.at, 'starter_wrote', messages.starter_wrote, 'owner_wrote', messages.owner_wrote, 'order_id', messages.order_id, 'offer_id', messages.offer_id, 'is_removed', messages.is_removed, 'files', ( SELECT json_agg(json_build_array(files.id, files.name, files.size, files.type) ORDER BY sent.position) FROM message_files AS sent JOIN files ON files.id = sent.file_id WHERE sent.message_id = messages.id ) ) FROM messages LEFT JOIN people ON people.id = messages.from_id WHERE messages.id = row.id ) AS message FROM ( SELECT id, number FROM messages WHERE conversation_id = conversation.id AND number < coalesce($3::bigint, bound.number) ORDER BY number DESC LIMIT (SELECT $4::integer) ) AS row ) AS page ON true WHERE conversation.id = $1 ORDER BY page.number DESC;

-- MarkRead (messages: 3, statements: 7)
-- 1
BEGIN;
SELECT FROM conversations WHERE id = $1 FOR UPDATE;
SELECT conversation.*, starter.username AS starter_name, owner.username AS owner_name, ( SELECT json_build_object( 'id', messages.id, 'conversation_id', messages.conversation_id, 'number', messages.number, 'from_id', messages.from_id, 'username', people.username, 'text', messages.text, 'at', messages.at, 'starter_wrote', messages.starter_wrote, 'owner_wrote', messages.owner_wrote, 'order_id', messages.order_id, 'offer_id', messages.offer_id, 'is_removed', messages.is_removed, 'files', ( SELECT json_agg(json_build_array(files.id, files.name, files.size, files.type) ORDER BY sent.position) FROM message_files AS sent JOIN files ON files.id = sent.file_id WHERE sent.message_id = messages.id ) ) FROM messages LEFT JOIN people ON people.id = messages.from_id WHERE messages.id = (SELECT id FROM messages WHERE conversation_id = conversation.id AND number = conversation.last_number) ) AS last_message FROM (SELECT id, starter_id, owner_id, gig_id, created_at, last_number, last_at, starter_read, owner_read FROM conversations WHERE id = $1) AS conversation LEFT JOIN people AS starter ON starter.id = conversation.starter_id LEFT JOIN people AS owner ON owner.id = conversation.owner_id;
-- 2
SELECT ( SELECT json_build_object( 'id', messages.id, 'conversation_id', messages.conversation_id, 'number', messages.number, 'from_id', messages.from_id, 'username', people.username, 'text', messages.text, 'at', messages.at, 'starter_wrote', messages.starter_wrote, 'owner_wrote', messages.owner_wrote, 'order_id', messages.order_id, 'offer_id', messages.offer_id, 'is_removed', messages.is_removed, 'files', ( SELECT json_agg(json_build_array(files.id, files.name, files.size, files.type) ORDER BY sent.position) FROM message_files AS sent JOIN files ON files.id = sent.file_id WHERE sent.message_id = messages.id ) ) FROM messages LEFT JOIN people ON people.id = messages.from_id WHERE messages.id = $1::uuid ) AS message;
-- 3
UPDATE conversations SET starter_read = $2, owner_read = $3 WHERE id = $1;
INSERT INTO events ( id, type, buyer_id, seller_id, at, conversation_id, message_id, reader_id, subject, is_internal ) VALUES ($1, $2, $3, $4, app_now(), $5, $6, $7, $8::jsonb, true);
COMMIT;

-- MarkRead: one that was read (messages: 3, statements: 5)
-- 1
BEGIN;
SELECT FROM conversations WHERE id = $1 FOR UPDATE;
SELECT conversation.*, starter.username AS starter_name, owner.username AS owner_name, ( SELECT json_build_object( 'id', messages.id, 'conversation_id', messages.conversation_id, 'number', messages.number, 'from_id', messages.from_id, 'username', people.username, 'text', messages.text, 'at', messages.at, 'starter_wrote', messages.starter_wrote, 'owner_wrote', messages.owner_wrote, 'order_id', messages.order_id, 'offer_id', messages.offer_id, 'is_removed', messages.is_removed, 'files', ( SELECT json_agg(json_build_array(files.id, files.name, files.size, files.type) ORDER BY sent.position) FROM message_files AS sent JOIN files ON files.id = sent.file_id WHERE sent.message_id = messages.id ) ) FROM messages LEFT JOIN people ON people.id = messages.from_id WHERE messages.id = (SELECT id FROM messages WHERE conversation_id = conversation.id AND number = conversation.last_number) ) AS last_message FROM (SELECT id, starter_id, owner_id, gig_id, created_at, last_number, last_at, starter_read, owner_read FROM conversations WHERE id = $1) AS conversation LEFT JOIN people AS starter ON starter.id = conversation.starter_id LEFT JOIN people AS owner ON owner.id = conversation.owner_id;
-- 2
SELECT ( SELECT json_build_object( 'id', messages.id, 'conversation_id', messages.conversation_id, 'number', messages.number, 'from_id', messages.from_id, 'username', people.username, 'text', messages.text, 'at', messages.at, 'starter_wrote', messages.starter_wrote, 'owner_wrote', messages.owner_wrote, 'order_id', messages.order_id, 'offer_id', messages.offer_id, 'is_removed', messages.is_removed, 'files', ( SELECT json_agg(json_build_array(files.id, files.name, files.size, files.type) ORDER BY sent.position) FROM message_files AS sent JOIN files ON files.id = sent.file_id WHERE sent.message_id = messages.id ) ) FROM messages LEFT JOIN people ON people.id = messages.from_id WHERE messages.id = $1::uuid ) AS message;
-- 3
COMMIT;

-- RemoveMessage (messages: 5, statements: 9)
-- 1
BEGIN;
SELECT ( SELECT json_build_object( 'id', messages.id, 'conversation_id', messages.conversation_id, 'number', messages.number, 'from_id', messages.from_id, 'username', people.username, 'text', messages.text, 'at', messages.at, 'starter_wrote', messages.starter_wrote, 'owner_wrote', messages.owner_wrote, 'order_id', messages.order_id, 'offer_id', messages.offer_id, 'is_removed', messages.is_removed, 'files', ( SELECT json_agg(json_build_array(files.id, files.name, files.size, files.type) ORDER BY sent.position) FROM message_files AS sent JOIN files ON files.id = sent.file_id WHERE sent.message_id = messages.id ) ) FROM messages LEFT JOIN people ON people.id = messages.from_id WHERE messages.id = $1::uuid ) AS message;
-- 2
SELECT FROM conversations WHERE id = $1 FOR UPDATE;
SELECT conversation.*, starter.username AS starter_name, owner.username AS owner_name, ( SELECT json_build_object( 'id', messages.id, 'conversation_id', messages.conversation_id, 'number', messages.number, 'from_id', messages.from_id, 'username', people.username, 'text', messages.text, 'at', messages.at, 'starter_wrote', messages.starter_wrote, 'owner_wrote', messages.owner_wrote, 'order_id', messages.order_id, 'offer_id', messages.offer_id, 'is_removed', messages.is_removed, 'files', ( SELECT json_agg(json_build_array(files.id, files.name, files.size, files.type) ORDER BY sent.position) FROM message_files AS sent JOIN files ON files.id = sent.file_id WHERE sent.message_id = messages.id ) ) FROM messages LEFT JOIN people ON people.id = messages.from_id WHERE messages.id = (SELECT id FROM messages WHERE conversation_id = conversation.id AND number = conversation.last_number) ) AS last_message FROM (SELECT id, starter_id, owner_id, gig_id, created_at, last_number, last_at, starter_read, owner_read FROM conversations WHERE id = $1) AS conversation LEFT JOIN people AS starter ON starter.id = conversation.starter_id LEFT JOIN people AS owner ON owner.id = conversation.owner_id;
-- 3
SELECT ( SELECT json_build_object( 'id', messages.id, 'conversation_id', messages.conversation_id, 'number', messages.number, 'from_id', messages.from_id, 'username', people.username, 'text', messages.text, 'at', messages.at, 'starter_wrote', messages.starter_wrote, 'owner_wrote', messages.owner_wrote, 'order_id', messages.order_id, 'offer_id', messages.offer_id, 'is_removed', messages.is_removed, 'files', ( SELECT json_agg(json_build_array(files.id, files.name, files.size, files.type) ORDER BY sent.position) FROM message_files AS sent JOIN files ON files.id = sent.file_id WHERE sent.message_id = messages.id ) ) FROM messages LEFT JOIN people ON people.id = messages.from_id WHERE messages.id = $1::uuid ) AS message;
-- 4
UPDATE messages SET text = '', is_removed = true WHERE id = $1;
WITH locked AS (SELECT id FROM files WHERE id IN (SELECT file_id FROM message_files WHERE message_id = $1) ORDER BY id FOR UPDATE) DELETE FROM files USING locked WHERE files.id = locked.id RETURNING files.id, key;
-- 5
INSERT INTO events ( id, type, buyer_id, seller_id, at, conversation_id, message_id, reader_id, subject, is_internal ) VALUES ($1, $2, $3, $4, app_now(), $5, $6, $7, $8::jsonb, true);
COMMIT;

-- RemoveMessage: one that was removed (messages: 4, statements: 6)
-- 1
BEGIN;
SELECT ( SELECT json_build_object( 'id', messages.id, 'conversation_id', messages.conversation_id, 'number', messages.number, 'from_id', messages.from_id, 'username', people.username, 'text', messages.text, 'at', messages.at, 'starter_wrote', messages.starter_wrote, 'owner_wrote', messages.owner_wrote, 'order_id', messages.order_id, 'offer_id', messages.offer_id, 'is_removed', messages.is_removed, 'files', ( SELECT json_agg(json_build_array(files.id, files.name, files.size, files.type) ORDER BY sent.position) FROM message_files AS sent JOIN files ON files.id = sent.file_id WHERE sent.message_id = messages.id ) ) FROM messages LEFT JOIN people ON people.id = messages.from_id WHERE messages.id = $1::uuid ) AS message;
-- 2
SELECT FROM conversations WHERE id = $1 FOR UPDATE;
SELECT conversation.*, starter.username AS starter_name, owner.username AS owner_name, ( SELECT json_build_object( 'id', messages.id, 'conversation_id', messages.conversation_id, 'number', messages.number, 'from_id', messages.from_id, 'username', people.username, 'text', messages.text, 'at', messages.at, 'starter_wrote', messages.starter_wrote, 'owner_wrote', messages.owner_wrote, 'order_id', messages.order_id, 'offer_id', messages.offer_id, 'is_removed', messages.is_removed, 'files', ( SELECT json_agg(json_build_array(files.id, files.name, files.size, files.type) ORDER BY sent.position) FROM message_files AS sent JOIN files ON files.id = sent.file_id WHERE sent.message_id = messages.id ) ) FROM messages LEFT JOIN people ON people.id = messages.from_id WHERE messages.id = (SELECT id FROM messages WHERE conversation_id = conversation.id AND number = conversation.last_number) ) AS last_message FROM (SELECT id, starter_id, owner_id, gig_id, created_at, last_number, last_at, starter_read, owner_read FROM conversations WHERE id = $1) AS conversation LEFT JOIN people AS starter ON starter.id = conversation.starter_id LEFT JOIN people AS owner ON owner.id = conversation.owner_id;
-- 3
SELECT ( SELECT json_build_object( 'id', messages.id, 'conversation_id', messages.conversation_id, 'number', messages.number, 'from_id', messages.from_id, 'username', people.username, 'text', messages.text, 'at', messages.at, 'starter_wrote', messages.starter_wrote, 'owner_wrote', messages.owner_wrote, 'order_id', messages.order_id, 'offer_id', messages.offer_id, 'is_removed', messages.is_removed, 'files', ( SELECT json_agg(json_build_array(files.id, files.name, files.size, files.type) ORDER BY sent.position) FROM message_files AS sent JOIN files ON files.id = sent.file_id WHERE sent.message_id = messages.id ) ) FROM messages LEFT JOIN people ON people.id = messages.from_id WHERE messages.id = $1::uuid ) AS message;
-- 4
COMMIT;

-- SendMessage (messages: 5, statements: 11)
-- 1
BEGIN;
SELECT pg_advisory_xact_lock(hashtextextended('token-buckets:' || $1::text, 0));
SELECT FROM conversations WHERE id = $1 FOR UPDATE;
SELECT conversation.*, starter.username AS starter_name, owner.username AS owner_name, ( SELECT json_build_object( 'id', messages.id, 'conversation_id', messages.conversation_id, 'number', messages.number, 'from_id', messages.from_id, 'username', people.username, 'text', messages.text, 'at', messages.at, 'starter_wrote', messages.starter_wrote, 'owner_wrote', messages.owner_wrote, 'order_id', messages.order_id, 'offer_id', messages.offer_id, 'is_removed', messages.is_removed, 'files', ( SELECT json_agg(json_build_array(files.id, files.name, files.size, files.type) ORDER BY sent.position) FROM message_files AS sent JOIN files ON files.id = sent.file_id WHERE sent.message_id = messages.id ) ) FROM messages LEFT JOIN people ON people.id = messages.from_id WHERE messages.id = (SELECT id FROM messages WHERE conversation_id = conversation.id AND number = conversation.last_number) ) AS last_message FROM (SELECT id, starter_id, owner_id, gig_id, created_at, last_number, last_at, starter_read, owner_read FROM conversations WHERE id = $1) AS conversation LEFT JOIN people AS starter ON starter.id = conversation.starter_id LEFT JOIN people AS owner ON owner.id = conversation.owner_id;
-- 2
SELECT EXISTS (SELECT FROM blocks WHERE blocker_id = $2 AND blocked_id = $1) AS is_blocked, EXISTS (SELECT FROM blocks WHERE blocker_id = $1 AND blocked_id = $2) AS is_blocking;
-- 3
SELECT kinds.kind, tokens, at, app_now() AS now FROM unnest($2::text[]) AS kinds (kind) LEFT JOIN token_buckets ON user_id = $1 AND token_buckets.kind = kinds.kind;
-- 4
INSERT INTO token_buckets (user_id, kind, tokens, at) VALUES ($1, $2, $3, $4) ON CONFLICT (user_id, kind) DO UPDATE SET tokens = excluded.tokens, at = excluded.at;
WITH counted AS ( UPDATE conversations SET last_number = last_number + 1, last_at = greatest(last_at, app_now()), starter_wrote = starter_wrote + (starter_id = $3)::integer, owner_wrote = owner_wrote + (owner_id = $3)::integer WHERE id = $2 RETURNING id, last_number, last_at, starter_wrote, owner_wrote ) INSERT INTO messages ( id, conversation_id, number, from_id, text, order_id, offer_id, at, starter_wrote, owner_wrote ) SELECT $1, id, last_number, $3, $4, $5, $6, last_at, starter_wrote, owner_wrote FROM counted;
SELECT ( SELECT json_build_object( 'id', messages.id, 'conversation_id', messages.conversation_id, 'number', messages.number, 'from_id', messages.from_id, 'username', people.username, 'text', messages.text, 'at', messages.at, 'starter_wrote', messages.starter_wrote, 'owner_wrote', messages.owner_wrote, 'order_id', messages.order_id, 'offer_id', messages.offer_id, 'is_removed', messages.is_removed, 'files', ( SELECT json_agg(json_build_array(files.id, files.name, files.size, files.type) ORDER BY sent.position) FROM message_files AS sent JOIN files ON files.id = sent.file_id WHERE sent.message_id = messages.id ) ) FROM messages LEFT JOIN people ON people.id = messages.from_id WHERE messages.id = $1::uuid ) AS message;
-- 5
WITH event AS ( INSERT INTO events (id, type, buyer_id, seller_id, at, conversation_id, message_id) VALUES ($1, $2, $3, $4, $5, $6, $7) ) SELECT add_webhook_deliveries($1, $2, $3, $4);
COMMIT;

-- SendMessage: with a known key (messages: 1, statements: 1)
-- 1
SELECT digest, attempt, answer, etag FROM idempotency_keys WHERE caller = $1 AND scope = $2 AND key = $3 AND (answer IS NULL OR created_at > app_now() - $4::interval);

-- SendMessage: with a new key (messages: 7, statements: 16)
-- 1
SELECT digest, attempt, answer, etag FROM idempotency_keys WHERE caller = $1 AND scope = $2 AND key = $3 AND (answer IS NULL OR created_at > app_now() - $4::interval);
-- 2
BEGIN;
INSERT INTO idempotency_keys AS known (caller, scope, key, digest, attempt, created_at) VALUES ($1, $2, $3, $4, $5, app_now()) ON CONFLICT (caller, scope, key) DO UPDATE SET digest = excluded.digest, attempt = excluded.attempt, answer = NULL, etag = '', created_at = excluded.created_at WHERE known.answer IS NOT NULL AND known.created_at <= app_now() - $6::interval RETURNING key;
-- 3
SAVEPOINT s;
SELECT pg_advisory_xact_lock(hashtextextended('token-buckets:' || $1::text, 0));
SELECT FROM conversations WHERE id = $1 FOR UPDATE;
SELECT conversation.*, starter.username AS starter_name, owner.username AS owner_name, ( SELECT json_build_object( 'id', messages.id, 'conversation_id', messages.conversation_id, 'number', messages.number, 'from_id', messages.from_id, 'username', people.username, 'text', messages.text, 'at', messages.at, 'starter_wrote', messages.starter_wrote, 'owner_wrote', messages.owner_wrote, 'order_id', messages.order_id, 'offer_id', messages.offer_id, 'is_removed', messages.is_removed, 'files', ( SELECT json_agg(json_build_array(files.id, files.name, files.size, files.type) ORDER BY sent.position) FROM message_files AS sent JOIN files ON files.id = sent.file_id WHERE sent.message_id = messages.id ) ) FROM messages LEFT JOIN people ON people.id = messages.from_id WHERE messages.id = (SELECT id FROM messages WHERE conversation_id = conversation.id AND number = conversation.last_number) ) AS last_message FROM (SELECT id, starter_id, owner_id, gig_id, created_at, last_number, last_at, starter_read, owner_read FROM conversations WHERE id = $1) AS conversation LEFT JOIN people AS starter ON starter.id = conversation.starter_id LEFT JOIN people AS owner ON owner.id = conversation.owner_id;
-- 4
SELECT EXISTS (SELECT FROM blocks WHERE blocker_id = $2 AND blocked_id = $1) AS is_blocked, EXISTS (SELECT FROM blocks WHERE blocker_id = $1 AND blocked_id = $2) AS is_blocking;
-- 5
SELECT kinds.kind, tokens, at, app_now() AS now FROM unnest($2::text[]) AS kinds (kind) LEFT JOIN token_buckets ON user_id = $1 AND token_buckets.kind = kinds.kind;
-- 6
INSERT INTO token_buckets (user_id, kind, tokens, at) VALUES ($1, $2, $3, $4) ON CONFLICT (user_id, kind) DO UPDATE SET tokens = excluded.tokens, at = excluded.at;
WITH counted AS ( UPDATE conversations SET last_number = last_number + 1, last_at = greatest(last_at, app_now()), starter_wrote = starter_wrote + (starter_id = $3)::integer, owner_wrote = owner_wrote + (owner_id = $3)::integer WHERE id = $2 RETURNING id, last_number, last_at, starter_wrote, owner_wrote ) INSERT INTO messages ( id, conversation_id, number, from_id, text, order_id, offer_id, at, starter_wrote, owner_wrote ) SELECT $1, id, last_number, $3, $4, $5, $6, last_at, starter_wrote, owner_wrote FROM counted;
SELECT ( SELECT json_build_object( 'id', messages.id, 'conversation_id', messages.conversation_id, 'number', messages.number, 'from_id', messages.from_id, 'username', people.username, 'text', messages.text, 'at', messages.at, 'starter_wrote', messages.starter_wrote, 'owner_wrote', messages.owner_wrote, 'order_id', messages.order_id, 'offer_id', messages.offer_id, 'is_removed', messages.is_removed, 'files', ( SELECT json_agg(json_build_array(files.id, files.name, files.size, files.type) ORDER BY sent.position) FROM message_files AS sent JOIN files ON files.id = sent.file_id WHERE sent.message_id = messages.id ) ) FROM messages LEFT JOIN people ON people.id = messages.from_id WHERE messages.id = $1::uuid ) AS message;
-- 7
WITH event AS ( INSERT INTO events (id, type, buyer_id, seller_id, at, conversation_id, message_id) VALUES ($1, $2, $3, $4, $5, $6, $7) ) SELECT add_webhook_deliveries($1, $2, $3, $4);
RELEASE SAVEPOINT s;
UPDATE idempotency_keys SET answer = $4, etag = $5 WHERE caller = $1 AND scope = $2 AND key = $3;
COMMIT;

-- SendMessage: with files, about an order (messages: 8, statements: 16)
-- 1
BEGIN;
SELECT pg_advisory_xact_lock(hashtextextended('token-buckets:' || $1::text, 0));
SELECT FROM conversations WHERE id = $1 FOR UPDATE;
SELECT conversation.*, starter.username AS starter_name, owner.username AS owner_name, ( SELECT json_build_object( 'id', messages.id, 'conversation_id', messages.conversation_id, 'number', messages.number, 'from_id', messages.from_id, 'username', people.username, 'text', messages.text, 'at', messages.at, 'starter_wrote', messages.starter_wrote, 'owner_wrote', messages.owner_wrote, 'order_id', messages.order_id, 'offer_id', messages.offer_id, 'is_removed', messages.is_removed, 'files', ( SELECT json_agg(json_build_array(files.id, files.name, files.size, files.type) ORDER BY sent.position) FROM message_files AS sent JOIN files ON files.id = sent.file_id WHERE sent.message_id = messages.id ) ) FROM messages LEFT JOIN people ON people.id = messages.from_id WHERE messages.id = (SELECT id FROM messages WHERE conversation_id = conversation.id AND number = conversation.last_number) ) AS last_message FROM (SELECT id, starter_id, owner_id, gig_id, created_at, last_number, last_at, starter_read, owner_read FROM conversations WHERE id = $1) AS conversation LEFT JOIN people AS starter ON starter.id = conversation.starter_id LEFT JOIN people AS owner ON owner.id = conversation.owner_id;
-- 2
SELECT id, version, status, buyer_id, seller_id, gig_id, gig_title, package_id, package_title, price, currency, delivery_days, revisions_left, requirements, payment_method, due_at, first_delivered_at, last_delivered_at, created_at, updated_at, payment_status, payment_reference, capture_before, refund_due, refunded, charged_back, commission_percent, platform_refund, fees, postings, chargeback_amount, chargeback_state, evidence_due_by, reminded_of, extension_days, extension_message, extension_at, extended_days, offer_id, CASE WHEN orders.has_lines THEN ( SELECT json_agg(json_build_array(title, unit_price::text, quantity) ORDER BY position) FROM order_lines WHERE order_id = orders.id ) END AS lines , (SELECT app_now()) AS now FROM orders WHERE id = $1;
-- 3
SELECT id FROM files WHERE id = ANY ($1::uuid[]) AND owner_id = $2;
-- 4
SELECT EXISTS (SELECT FROM blocks WHERE blocker_id = $2 AND blocked_id = $1) AS is_blocked, EXISTS (SELECT FROM blocks WHERE blocker_id = $1 AND blocked_id = $2) AS is_blocking;
-- 5
SELECT kinds.kind, tokens, at, app_now() AS now FROM unnest($2::text[]) AS kinds (kind) LEFT JOIN token_buckets ON user_id = $1 AND token_buckets.kind = kinds.kind;
-- 6
INSERT INTO token_buckets (user_id, kind, tokens, at) VALUES ($1, $2, $3, $4) ON CONFLICT (user_id, kind) DO UPDATE SET tokens = excluded.tokens, at = excluded.at;
WITH counted AS ( UPDATE conversations SET last_number = last_number + 1, last_at = greatest(last_at, app_now()), starter_wrote = starter_wrote + (starter_id = $3)::integer, owner_wrote = owner_wrote + (owner_id = $3)::integer WHERE id = $2 RETURNING id, last_number, last_at, starter_wrote, owner_wrote ) INSERT INTO messages ( id, conversation_id, number, from_id, text, order_id, offer_id, at, starter_wrote, owner_wrote ) SELECT $1, id, last_number, $3, $4, $5, $6, last_at, starter_wrote, owner_wrote FROM counted;
SELECT id, name, size, type, status FROM files WHERE id = ANY ($1::uuid[]) AND owner_id = $2 ORDER BY id FOR NO KEY UPDATE;
-- 7
UPDATE files SET sent_at = app_now() WHERE id = ANY ($1::uuid[]) AND sent_at IS NULL;
INSERT INTO message_files (message_id, position, file_id) SELECT $2, position, file_id FROM unnest($1::uuid[]) WITH ORDINALITY AS sent (file_id, position);
SELECT ( SELECT json_build_object( 'id', messages.id, 'conversation_id', messages.conversation_id, 'number', messages.number, 'from_id', messages.from_id, 'username', people.username, 'text', messages.text, 'at', messages.at, 'starter_wrote', messages.starter_wrote, 'owner_wrote', messages.owner_wrote, 'order_id', messages.order_id, 'offer_id', messages.offer_id, 'is_removed', messages.is_removed, 'files', ( SELECT json_agg(json_build_array(files.id, files.name, files.size, files.type) ORDER BY sent.position) FROM message_files AS sent JOIN files ON files.id = sent.file_id WHERE sent.message_id = messages.id ) ) FROM messages LEFT JOIN people ON people.id = messages.from_id WHERE messages.id = $1::uuid ) AS message;
-- 8
WITH event AS ( INSERT INTO events (id, type, buyer_id, seller_id, at, conversation_id, message_id) VALUES ($1, $2, $3, $4, $5, $6, $7) ) SELECT add_webhook_deliveries($1, $2, $3, $4);
COMMIT;

-- StartConversation (messages: 6, statements: 13)
-- 1
BEGIN;
SELECT pg_advisory_xact_lock(hashtextextended('token-buckets:' || $1::text, 0));
SELECT id FROM conversations WHERE least(starter_id, owner_id) = least($1::uuid, $2::uuid) AND greatest(starter_id, owner_id) = greatest($1::uuid, $2::uuid) FOR UPDATE;
-- 2
SELECT EXISTS (SELECT FROM blocks WHERE blocker_id = $2 AND blocked_id = $1) AS is_blocked, EXISTS (SELECT FROM blocks WHERE blocker_id = $1 AND blocked_id = $2) AS is_blocking;
-- 3
SELECT kinds.kind, tokens, at, app_now() AS now FROM unnest($2::text[]) AS kinds (kind) LEFT JOIN token_buckets ON user_id = $1 AND token_buckets.kind = kinds.kind;
-- 4
INSERT INTO token_buckets (user_id, kind, tokens, at) VALUES ($1, $2, $3, $4) ON CONFLICT (user_id, kind) DO UPDATE SET tokens = excluded.tokens, at = excluded.at;
INSERT INTO token_buckets (user_id, kind, tokens, at) VALUES ($1, $2, $3, $4) ON CONFLICT (user_id, kind) DO UPDATE SET tokens = excluded.tokens, at = excluded.at;
WITH begun AS ( INSERT INTO conversations ( id, starter_id, owner_id, gig_id, created_at, last_number, last_at, starter_wrote, owner_wrote ) SELECT $2, $3, $5, $6, now, 1, now, 1, 0 FROM app_now() AS now ON CONFLICT (least(starter_id, owner_id), greatest(starter_id, owner_id)) DO NOTHING RETURNING id, created_at ) INSERT INTO messages ( id, conversation_id, number, from_id, text, order_id, offer_id, at, starter_wrote, owner_wrote ) SELECT $1, id, 1, $3, $4, NULL, NULL, created_at, 1, 0 FROM begun RETURNING id;
-- 5
INSERT INTO people (id, username) VALUES ($1, $2) ON CONFLICT DO NOTHING;
SELECT conversation.*, starter.username AS starter_name, owner.username AS owner_name, ( SELECT json_build_object( 'id', messages.id, 'conversation_id', messages.conversation_id, 'number', messages.number, 'from_id', messages.from_id, 'username', people.username, 'text', messages.text, 'at', messages.at, 'starter_wrote', messages.starter_wrote, 'owner_wrote', messages.owner_wrote, 'order_id', messages.order_id, 'offer_id', messages.offer_id, 'is_removed', messages.is_removed, 'files', ( SELECT json_agg(json_build_array(files.id, files.name, files.size, files.type) ORDER BY sent.position) FROM message_files AS sent JOIN files ON files.id = sent.file_id WHERE sent.message_id = messages.id ) ) FROM messages LEFT JOIN people ON people.id = messages.from_id WHERE messages.id = (SELECT id FROM messages WHERE conversation_id = conversation.id AND number = conversation.last_number) ) AS last_message FROM (SELECT id, starter_id, owner_id, gig_id, created_at, last_number, last_at, starter_read, owner_read FROM conversations WHERE id = $1) AS conversation LEFT JOIN people AS starter ON starter.id = conversation.starter_id LEFT JOIN people AS owner ON owner.id = conversation.owner_id;
-- 6
WITH event AS ( INSERT INTO events (id, type, buyer_id, seller_id, at, conversation_id, message_id) VALUES ($1, $2, $3, $4, $5, $6, $7) ) SELECT add_webhook_deliveries($1, $2, $3, $4);
UPDATE idempotency_keys SET answer = $2 WHERE attempt = $1 AND answer IS NULL;
COMMIT;

-- StartConversation: where there is one (messages: 7, statements: 13)
-- 1
BEGIN;
SELECT pg_advisory_xact_lock(hashtextextended('token-buckets:' || $1::text, 0));
SELECT id FROM conversations WHERE least(starter_id, owner_id) = least($1::uuid, $2::uuid) AND greatest(starter_id, owner_id) = greatest($1::uuid, $2::uuid) FOR UPDATE;
-- 2
SELECT conversation.*, starter.username AS starter_name, owner.username AS owner_name, ( SELECT json_build_object( 'id', messages.id, 'conversation_id', messages.conversation_id, 'number', messages.number, 'from_id', messages.from_id, 'username', people.username, 'text', messages.text, 'at', messages.at, 'starter_wrote', messages.starter_wrote, 'owner_wrote', messages.owner_wrote, 'order_id', messages.order_id, 'offer_id', messages.offer_id, 'is_removed', messages.is_removed, 'files', ( SELECT json_agg(json_build_array(files.id, files.name, files.size, files.type) ORDER BY sent.position) FROM message_files AS sent JOIN files ON files.id = sent.file_id WHERE sent.message_id = messages.id ) ) FROM messages LEFT JOIN people ON people.id = messages.from_id WHERE messages.id = (SELECT id FROM messages WHERE conversation_id = conversation.id AND number = conversation.last_number) ) AS last_message FROM (SELECT id, starter_id, owner_id, gig_id, created_at, last_number, last_at, starter_read, owner_read FROM conversations WHERE id = $1) AS conversation LEFT JOIN people AS starter ON starter.id = conversation.starter_id LEFT JOIN people AS owner ON owner.id = conversation.owner_id;
-- 3
SELECT EXISTS (SELECT FROM blocks WHERE blocker_id = $2 AND blocked_id = $1) AS is_blocked, EXISTS (SELECT FROM blocks WHERE blocker_id = $1 AND blocked_id = $2) AS is_blocking;
-- 4
SELECT kinds.kind, tokens, at, app_now() AS now FROM unnest($2::text[]) AS kinds (kind) LEFT JOIN token_buckets ON user_id = $1 AND token_buckets.kind = kinds.kind;
-- 5
INSERT INTO token_buckets (user_id, kind, tokens, at) VALUES ($1, $2, $3, $4) ON CONFLICT (user_id, kind) DO UPDATE SET tokens = excluded.tokens, at = excluded.at;
WITH counted AS ( UPDATE conversations SET last_number = last_number + 1, last_at = greatest(last_at, app_now()), starter_wrote = starter_wrote + (starter_id = $3)::integer, owner_wrote = owner_wrote + (owner_id = $3)::integer WHERE id = $2 RETURNING id, last_number, last_at, starter_wrote, owner_wrote ) INSERT INTO messages ( id, conversation_id, number, from_id, text, order_id, offer_id, at, starter_wrote, owner_wrote ) SELECT $1, id, last_number, $3, $4, $5, $6, last_at, starter_wrote, owner_wrote FROM counted;
SELECT ( SELECT json_build_object( 'id', messages.id, 'conversation_id', messages.conversation_id, 'number', messages.number, 'from_id', messages.from_id, 'username', people.username, 'text', messages.text, 'at', messages.at, 'starter_wrote', messages.starter_wrote, 'owner_wrote', messages.owner_wrote, 'order_id', messages.order_id, 'offer_id', messages.offer_id, 'is_removed', messages.is_removed, 'files', ( SELECT json_agg(json_build_array(files.id, files.name, files.size, files.type) ORDER BY sent.position) FROM message_files AS sent JOIN files ON files.id = sent.file_id WHERE sent.message_id = messages.id ) ) FROM messages LEFT JOIN people ON people.id = messages.from_id WHERE messages.id = $1::uuid ) AS message;
-- 6
WITH event AS ( INSERT INTO events (id, type, buyer_id, seller_id, at, conversation_id, message_id) VALUES ($1, $2, $3, $4, $5, $6, $7) ) SELECT add_webhook_deliveries($1, $2, $3, $4);
SELECT conversation.*, starter.username AS starter_name, owner.username AS owner_name, ( SELECT json_build_object( 'id', messages.id, 'conversation_id', messages.conversation_id, 'number', messages.number, 'from_id', messages.from_id, 'username', people.username, 'text', messages.text, 'at', messages.at, 'starter_wrote', messages.starter_wrote, 'owner_wrote', messages.owner_wrote, 'order_id', messages.order_id, 'offer_id', messages.offer_id, 'is_removed', messages.is_removed, 'files', ( SELECT json_agg(json_build_array(files.id, files.name, files.size, files.type) ORDER BY sent.position) FROM message_files AS sent JOIN files ON files.id = sent.file_id WHERE sent.message_id = messages.id ) ) FROM messages LEFT JOIN people ON people.id = messages.from_id WHERE messages.id = (SELECT id FROM messages WHERE conversation_id = conversation.id AND number = conversation.last_number) ) AS last_message FROM (SELECT id, starter_id, owner_id, gig_id, created_at, last_number, last_at, starter_read, owner_read FROM conversations WHERE id = $1) AS conversation LEFT JOIN people AS starter ON starter.id = conversation.starter_id LEFT JOIN people AS owner ON owner.id = conversation.owner_id;
-- 7
UPDATE idempotency_keys SET answer = $2 WHERE attempt = $1 AND answer IS NULL;
COMMIT;

-- StartConversation: with a known key (messages: 1, statements: 1)
-- 1
SELECT digest, attempt, answer, etag FROM idempotency_keys WHERE caller = $1 AND scope = $2 AND key = $3 AND (answer IS NULL OR created_at > app_now() - $4::interval);

-- StartConversation: with a new key (messages: 8, statements: 15)
-- 1
SELECT digest, attempt, answer, etag FROM idempotency_keys WHERE caller = $1 AND scope = $2 AND key = $3 AND (answer IS NULL OR created_at > app_now() - $4::interval);
-- 2
BEGIN;
INSERT INTO idempotency_keys AS known (caller, scope, key, digest, attempt, created_at) VALUES ($1, $2, $3, $4, $5, app_now()) ON CONFLICT (caller, scope, key) DO UPDATE SET digest = excluded.digest, attempt = excluded.attempt, answer = NULL, etag = '', created_at = excluded.created_at WHERE known.answer IS NOT NULL AND known.created_at <= app_now() - $6::interval RETURNING key;
-- 3
SELECT pg_advisory_xact_lock(hashtextextended('token-buckets:' || $1::text, 0));
SELECT id FROM conversations WHERE least(starter_id, owner_id) = least($1::uuid, $2::uuid) AND greatest(starter_id, owner_id) = greatest($1::uuid, $2::uuid) FOR UPDATE;
-- 4
SELECT EXISTS (SELECT FROM blocks WHERE blocker_id = $2 AND blocked_id = $1) AS is_blocked, EXISTS (SELECT FROM blocks WHERE blocker_id = $1 AND blocked_id = $2) AS is_blocking;
-- 5
SELECT kinds.kind, tokens, at, app_now() AS now FROM unnest($2::text[]) AS kinds (kind) LEFT JOIN token_buckets ON user_id = $1 AND token_buckets.kind = kinds.kind;
-- 6
INSERT INTO token_buckets (user_id, kind, tokens, at) VALUES ($1, $2, $3, $4) ON CONFLICT (user_id, kind) DO UPDATE SET tokens = excluded.tokens, at = excluded.at;
INSERT INTO token_buckets (user_id, kind, tokens, at) VALUES ($1, $2, $3, $4) ON CONFLICT (user_id, kind) DO UPDATE SET tokens = excluded.tokens, at = excluded.at;
WITH begun AS ( INSERT INTO conversations ( id, starter_id, owner_id, gig_id, created_at, last_number, last_at, starter_wrote, owner_wrote ) SELECT $2, $3, $5, $6, now, 1, now, 1, 0 FROM app_now() AS now ON CONFLICT (least(starter_id, owner_id), greatest(starter_id, owner_id)) DO NOTHING RETURNING id, created_at ) INSERT INTO messages ( id, conversation_id, number, from_id, text, order_id, offer_id, at, starter_wrote, owner_wrote ) SELECT $1, id, 1, $3, $4, NULL, NULL, created_at, 1, 0 FROM begun RETURNING id;
-- 7
INSERT INTO people (id, username) VALUES ($1, $2) ON CONFLICT DO NOTHING;
SELECT conversation.*, starter.username AS starter_name, owner.username AS owner_name, ( SELECT json_build_object( 'id', messages.id, 'conversation_id', messages.conversation_id, 'number', messages.number, 'from_id', messages.from_id, 'username', people.username, 'text', messages.text, 'at', messages.at, 'starter_wrote', messages.starter_wrote, 'owner_wrote', messages.owner_wrote, 'order_id', messages.order_id, 'offer_id', messages.offer_id, 'is_removed', messages.is_removed, 'files', ( SELECT json_agg(json_build_array(files.id, files.name, files.size, files.type) ORDER BY sent.position) FROM message_files AS sent JOIN files ON files.id = sent.file_id WHERE sent.message_id = messages.id ) ) FROM messages LEFT JOIN people ON people.id = messages.from_id WHERE messages.id = (SELECT id FROM messages WHERE conversation_id = conversation.id AND number = conversation.last_number) ) AS last_message FROM (SELECT id, starter_id, owner_id, gig_id, created_at, last_number, last_at, starter_read, owner_read FROM conversations WHERE id = $1) AS conversation LEFT JOIN people AS starter ON starter.id = conversation.starter_id LEFT JOIN people AS owner ON owner.id = conversation.owner_id;
-- 8
WITH event AS ( INSERT INTO events (id, type, buyer_id, seller_id, at, conversation_id, message_id) VALUES ($1, $2, $3, $4, $5, $6, $7) ) SELECT add_webhook_deliveries($1, $2, $3, $4);
UPDATE idempotency_keys SET answer = $2 WHERE attempt = $1 AND answer IS NULL;
COMMIT;

-- UnblockUser (messages: 1, statements: 1)
-- 1
DELETE FROM blocks WHERE blocker_id = $1 AND blocked_id = $2;
