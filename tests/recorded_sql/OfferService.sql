-- DeclineOffer (messages: 5, statements: 10)
-- 1
SELECT id, conversation_id, gig_id, seller_id, buyer_id, title, description, price, delivery_days, revisions, status, expires_at, created_at, order_id, app_now() AS now FROM offers WHERE id = $1;
-- 2
BEGIN;
SELECT FROM conversations WHERE id = $1 FOR UPDATE;
SELECT conversation.*, starter.username AS starter_name, owner.username AS owner_name, ( SELECT json_build_object( 'id', messages.id, 'conversation_id', messages.conversation_id, 'number', messages.number, 'from_id', messages.from_id, 'username', people.username, 'text', messages.text, 'at', messages.at, 'starter_wrote', messages.starter_wrote, 'owner_wrote', messages.owner_wrote, 'order_id', messages.order_id, 'offer_id', messages.offer_id, 'is_removed', messages.is_removed, 'files', ( SELECT json_agg(json_build_array(files.id, files.name, files.size, files.type) ORDER BY sent.position) FROM message_files AS sent JOIN files ON files.id = sent.file_id WHERE sent.message_id = messages.id ) ) FROM messages LEFT JOIN people ON people.id = messages.from_id WHERE messages.id = (SELECT id FROM messages WHERE conversation_id = conversation.id AND number = conversation.last_number) ) AS last_message FROM (SELECT id, starter_id, owner_id, gig_id, created_at, last_number, last_at, starter_read, owner_read FROM conversations WHERE id = $1) AS conversation LEFT JOIN people AS starter ON starter.id = conversation.starter_id LEFT JOIN people AS owner ON owner.id = conversation.owner_id;
-- 3
WITH locked AS (SELECT id, conversation_id, gig_id, seller_id, buyer_id, title, description, price, delivery_days, revisions, status, expires_at, created_at, order_id FROM offers WHERE id = $1 FOR UPDATE) SELECT *, app_now() AS now FROM locked;
-- 4
UPDATE attempts SET state = 'giving_up', tries = 0, next_try_at = app_now() WHERE offer_id = $1 AND kind = 'authorize' AND (state IN ('confirming', 'refused') OR state = 'asking' AND NOT is_in_doubt);
SELECT EXISTS (SELECT FROM attempts WHERE offer_id = $1 AND state = 'asking' AND order_id <> $2) AS is_reserved;
-- 5
UPDATE offers SET status = $2, order_id = $3 WHERE id = $1;
WITH event AS ( INSERT INTO events (id, type, buyer_id, seller_id, at, conversation_id, offer_id, subject) VALUES ($1, $2, $3, $4, app_now(), $5, $6, $7::jsonb) ) SELECT add_webhook_deliveries($1, $2, $3, $4);
COMMIT;

-- DeclineOffer: with a message (messages: 6, statements: 13)
-- 1
SELECT id, conversation_id, gig_id, seller_id, buyer_id, title, description, price, delivery_days, revisions, status, expires_at, created_at, order_id, app_now() AS now FROM offers WHERE id = $1;
-- 2
BEGIN;
SELECT FROM conversations WHERE id = $1 FOR UPDATE;
SELECT conversation.*, starter.username AS starter_name, owner.username AS owner_name, ( SELECT json_build_object( 'id', messages.id, 'conversation_id', messages.conversation_id, 'number', messages.number, 'from_id', messages.from_id, 'username', people.username, 'text', messages.text, 'at', messages.at, 'starter_wrote', messages.starter_wrote, 'owner_wrote', messages.owner_wrote, 'order_id', messages.order_id, 'offer_id', messages.offer_id, 'is_removed', messages.is_removed, 'files', ( SELECT json_agg(json_build_array(files.id, files.name, files.size, files.type) ORDER BY sent.position) FROM message_files AS sent JOIN files ON files.id = sent.file_id WHERE sent.message_id = messages.id ) ) FROM messages LEFT JOIN people ON people.id = messages.from_id WHERE messages.id = (SELECT id FROM messages WHERE conversation_id = conversation.id AND number = conversation.last_number) ) AS last_message FROM (SELECT id, starter_id, owner_id, gig_id, created_at, last_number, last_at, starter_read, owner_read FROM conversations WHERE id = $1) AS conversation LEFT JOIN people AS starter ON starter.id = conversation.starter_id LEFT JOIN people AS owner ON owner.id = conversation.owner_id;
-- 3
WITH locked AS (SELECT id, conversation_id, gig_id, seller_id, buyer_id, title, description, price, delivery_days, revisions, status, expires_at, created_at, order_id FROM offers WHERE id = $1 FOR UPDATE) SELECT *, app_now() AS now FROM locked;
-- 4
UPDATE attempts SET state = 'giving_up', tries = 0, next_try_at = app_now() WHERE offer_id = $1 AND kind = 'authorize' AND (state IN ('confirming', 'refused') OR state = 'asking' AND NOT is_in_doubt);
SELECT EXISTS (SELECT FROM attempts WHERE offer_id = $1 AND state = 'asking' AND order_id <> $2) AS is_reserved;
-- 5
UPDATE offers SET status = $2, order_id = $3 WHERE id = $1;
WITH event AS ( INSERT INTO events (id, type, buyer_id, seller_id, at, conversation_id, offer_id, subject) VALUES ($1, $2, $3, $4, app_now(), $5, $6, $7::jsonb) ) SELECT add_webhook_deliveries($1, $2, $3, $4);
WITH counted AS ( UPDATE conversations SET last_number = last_number + 1, last_at = greatest(last_at, app_now()), starter_wrote = starter_wrote + (starter_id = $3)::integer, owner_wrote = owner_wrote + (owner_id = $3)::integer WHERE id = $2 RETURNING id, last_number, last_at, starter_wrote, owner_wrote ) INSERT INTO messages ( id, conversation_id, number, from_id, text, order_id, offer_id, at, starter_wrote, owner_wrote ) SELECT $1, id, last_number, $3, $4, $5, $6, last_at, starter_wrote, owner_wrote FROM counted;
SELECT ( SELECT json_build_object( 'id', messages.id, 'conversation_id', messages.conversation_id, 'number', messages.number, 'from_id', messages.from_id, 'username', people.username, 'text', messages.text, 'at', messages.at, 'starter_wrote', messages.starter_wrote, 'owner_wrote', messages.owner_wrote, 'order_id', messages.order_id, 'offer_id', messages.offer_id, 'is_removed', messages.is_removed, 'files', ( SELECT json_agg(json_build_array(files.id, files.name, files.size, files.type) ORDER BY sent.position) FROM message_files AS sent JOIN files ON files.id = sent.file_id WHERE sent.message_id = messages.id ) ) FROM messages LEFT JOIN people ON people.id = messages.from_id WHERE messages.id = $1::uuid ) AS message;
-- 6
WITH event AS ( INSERT INTO events (id, type, buyer_id, seller_id, at, conversation_id, message_id) VALUES ($1, $2, $3, $4, $5, $6, $7) ) SELECT add_webhook_deliveries($1, $2, $3, $4);
COMMIT;

-- GetOffer (messages: 1, statements: 1)
-- 1
SELECT id, conversation_id, gig_id, seller_id, buyer_id, title, description, price, delivery_days, revisions, status, expires_at, created_at, order_id, app_now() AS now FROM offers WHERE id = $1;

-- ListOffers (messages: 1, statements: 1)
-- 1
SELECT *, (SELECT app_now()) AS now FROM (( SELECT id, conversation_id, gig_id, seller_id, buyer_id, title, description, price, delivery_days, revisions, status, expires_at, created_at, order_id FROM offers WHERE buyer_id = $4::uuid AND status = 'OPEN' AND (created_at, id) < ($2::timestamptz, $3::uuid) ORDER BY created_at DESC, id DESC LIMIT (SELECT $1::integer) ) UNION ALL ( SELECT id, conversation_id, gig_id, seller_id, buyer_id, title, description, price, delivery_days, revisions, status, expires_at, created_at, order_id FROM offers WHERE seller_id = $4::uuid AND status = 'OPEN' AND (created_at, id) < ($2::timestamptz, $3::uuid) ORDER BY created_at DESC, id DESC LIMIT (SELECT $1::integer) ) UNION ALL ( SELECT id, conversation_id, gig_id, seller_id, buyer_id, title, description, price, delivery_days, revisions, status, expires_at, created_at, order_id FROM offers WHERE buyer_id = $4::uuid AND status = 'ACCEPTED' AND (created_at, id) < ($2::timestamptz, $3::uuid) ORDER BY created_at DESC, id DESC LIMIT (SELECT $1::integer) ) UNION ALL ( SELECT id, conversation_id, gig_id, seller_id, buyer_id, title, description, price, delivery_days, revisions, status, expires_at, created_at, order_id FROM offers WHERE seller_id = $4::uuid AND status = 'ACCEPTED' AND (created_at, id) < ($2::timestamptz, $3::uuid) ORDER BY created_at DESC, id DESC LIMIT (SELECT $1::integer) ) UNION ALL ( SELECT id, conversation_id, gig_id, seller_id, buyer_id, title, description, price, delivery_days, revisions, status, expires_at, created_at, order_id FROM offers WHERE buyer_id = $4::uuid AND status = 'DECLINED' AND (created_at, id) < ($2::timestamptz, $3::uuid) ORDER BY created_at DESC, id DESC LIMIT (SELECT $1::integer) ) UNION ALL ( SELECT id, conversation_id, gig_id, seller_id, buyer_id, title, description, price, delivery_days, revisions, status, expires_at, created_at, order_id FROM offers WHERE seller_id = $4::uuid AND status = 'DECLINED' AND (created_at, id) < ($2::timestamptz, $3::uuid) ORDER BY created_at DESC, id DESC LIMIT (SELECT $1::integer) ) UNION ALL ( SELECT id, conversation_id, gig_id, seller_id, buyer_id, title, description, price, delivery_days, revisions, status, expires_at, created_at, order_id FROM offers WHERE buyer_id = $4::uuid AND status = 'WITHDRAWN' AND (created_at, id) < ($2::timestamptz, $3::uuid) ORDER BY created_at DESC, id DESC LIMIT (SELECT $1::integer) ) UNION ALL ( SELECT id, conversation_id, gig_id, seller_id, buyer_id, title, description, price, delivery_days, revisions, status, expires_at, created_at, order_id FROM offers WHERE seller_id = $4::uuid AND status = 'WITHDRAWN' AND (created_at, id) < ($2::timestamptz, $3::uuid) ORDER BY created_at DESC, id DESC LIMIT (SELECT $1::integer) ) UNION ALL ( SELECT id, conversation_id, gig_id, seller_id, buyer_id, title, description, price, delivery_days, revisions, status, expires_at, created_at, order_id FROM offers WHERE buyer_id = $4::uuid AND status = 'EXPIRED' AND (created_at, id) < ($2::timestamptz, $3::uuid) ORDER BY created_at DESC, id DESC LIMIT (SELECT $1::integer) ) UNION ALL ( SELECT id, conversation_id, gig_id, seller_id, buyer_id, title, description, price, delivery_days, revisions, status, expires_at, created_at, order_id FROM offers WHERE seller_id = $4::uuid AND status = 'EXPIRED' AND (created_at, id) < ($2::timestamptz, $3::uuid) ORDER BY created_at DESC, id DESC LIMIT (SELECT $1::integer) )) AS offers ORDER BY created_at DESC, id DESC LIMIT (SELECT $1::integer);

-- ListOffers: everyone's (messages: 1, statements: 1)
-- 1
SELECT *, (SELECT app_now()) AS now FROM (( SELECT id, conversation_id, gig_id, seller_id, buyer_id, title, description, price, delivery_days, revisions, status, expires_at, created_at, order_id FROM offers WHERE status = 'OPEN' AND (created_at, id) < ($2::timestamptz, $3::uuid) ORDER BY created_at DESC, id DESC LIMIT (SELECT $1::integer) ) UNION ALL ( SELECT id, conversation_id, gig_id, seller_id, buyer_id, title, description, price, delivery_days, revisions, status, expires_at, created_at, order_id FROM offers WHERE status = 'ACCEPTED' AND (created_at, id) < ($2::timestamptz, $3::uuid) ORDER BY created_at DESC, id DESC LIMIT (SELECT $1::integer) ) UNION ALL ( SELECT id, conversation_id, gig_id, seller_id, buyer_id, title, description, price, delivery_days, revisions, status, expires_at, created_at, order_id FROM offers WHERE status = 'DECLINED' AND (created_at, id) < ($2::timestamptz, $3::uuid) ORDER BY created_at DESC, id DESC LIMIT (SELECT $1::integer) ) UNION ALL ( SELECT id, conversation_id, gig_id, seller_id, buyer_id, title, description, price, delivery_days, revisions, status, expires_at, created_at, order_id FROM offers WHERE status = 'WITHDRAWN' AND (created_at, id) < ($2::timestamptz, $3::uuid) ORDER BY created_at DESC, id DESC LIMIT (SELECT $1::integer) ) UNION ALL ( SELECT id, conversation_id, gig_id, seller_id, buyer_id, title, description, price, delivery_days, revisions, status, expires_at, created_at, order_id FROM offers WHERE status = 'EXPIRED' AND (created_at, id) < ($2::timestamptz, $3::uuid) ORDER BY created_at DESC, id DESC LIMIT (SELECT $1::integer) )) AS offers ORDER BY created_at DESC, id DESC LIMIT (SELECT $1::integer);

-- ListOffers: of a seller and a conversation (messages: 1, statements: 1)
-- 1
SELECT *, (SELECT app_now()) AS now FROM (( SELECT id, conversation_id, gig_id, seller_id, buyer_id, title, description, price, delivery_days, revisions, status, expires_at, created_at, order_id FROM offers WHERE conversation_id = $4::uuid AND seller_id IS NOT DISTINCT FROM $5::uuid AND status = 'OPEN' AND (created_at, id) < ($2::timestamptz, $3::uuid) ORDER BY created_at DESC, id DESC LIMIT (SELECT $1::integer) ) UNION ALL ( SELECT id, conversation_id, gig_id, seller_id, buyer_id, title, description, price, delivery_days, revisions, status, expires_at, created_at, order_id FROM offers WHERE conversation_id = $4::uuid AND seller_id IS NOT DISTINCT FROM $5::uuid AND status = 'ACCEPTED' AND (created_at, id) < ($2::timestamptz, $3::uuid) ORDER BY created_at DESC, id DESC LIMIT (SELECT $1::integer) ) UNION ALL ( SELECT id, conversation_id, gig_id, seller_id, buyer_id, title, description, price, delivery_days, revisions, status, expires_at, created_at, order_id FROM offers WHERE conversation_id = $4::uuid AND seller_id IS NOT DISTINCT FROM $5::uuid AND status = 'DECLINED' AND (created_at, id) < ($2::timestamptz, $3::uuid) ORDER BY created_at DESC, id DESC LIMIT (SELECT $1::integer) ) UNION ALL ( SELECT id, conversation_id, gig_id, seller_id, buyer_id, title, description, price, delivery_days, revisions, status, expires_at, created_at, order_id FROM offers WHERE conversation_id = $4::uuid AND seller_id IS NOT DISTINCT FROM $5::uuid AND status = 'WITHDRAWN' AND (created_at, id) < ($2::timestamptz, $3::uuid) ORDER BY created_at DESC, id DESC LIMIT (SELECT $1::integer) ) UNION ALL ( SELECT id, conversation_id, gig_id, seller_id, buyer_id, title, description, price, delivery_days, revisions, status, expires_at, created_at, order_id FROM offers WHERE conversation_id = $4::uuid AND seller_id IS NOT DISTINCT FROM $5::uuid AND status = 'EXPIRED' AND (created_at, id) < ($2::timestamptz, $3::uuid) ORDER BY created_at DESC, id DESC LIMIT (SELECT $1::integer) )) AS offers ORDER BY created_at DESC, id DESC LIMIT (SELECT $1::integer);

-- ListOffers: of a status (messages: 1, statements: 1)
-- 1
SELECT *, (SELECT app_now()) AS now FROM (( SELECT id, conversation_id, gig_id, seller_id, buyer_id, title, description, price, delivery_days, revisions, status, expires_at, created_at, order_id FROM offers WHERE buyer_id = $4::uuid AND status = 'EXPIRED' AND (created_at, id) < ($2::timestamptz, $3::uuid) ORDER BY created_at DESC, id DESC LIMIT (SELECT $1::integer) ) UNION ALL ( SELECT id, conversation_id, gig_id, seller_id, buyer_id, title, description, price, delivery_days, revisions, status, expires_at, created_at, order_id FROM offers WHERE seller_id = $4::uuid AND status = 'EXPIRED' AND (created_at, id) < ($2::timestamptz, $3::uuid) ORDER BY created_at DESC, id DESC LIMIT (SELECT $1::integer) ) UNION ALL ( SELECT id, conversation_id, gig_id, seller_id, buyer_id, title, description, price, delivery_days, revisions, status, expires_at, created_at, order_id FROM offers WHERE buyer_id = $4::uuid AND status = 'OPEN' AND expires_at <= (SELECT app_now()) AND (created_at, id) < ($2::timestamptz, $3::uuid) ORDER BY created_at DESC, id DESC LIMIT (SELECT $1::integer) ) UNION ALL ( SELECT id, conversation_id, gig_id, seller_id, buyer_id, title, description, price, delivery_days, revisions, status, expires_at, created_at, order_id FROM offers WHERE seller_id = $4::uuid AND status = 'OPEN' AND expires_at <= (SELECT app_now()) AND (created_at, id) < ($2::timestamptz, $3::uuid) ORDER BY created_at DESC, id DESC LIMIT (SELECT $1::integer) )) AS offers ORDER BY created_at DESC, id DESC LIMIT (SELECT $1::integer);

-- MakeOffer (messages: 8, statements: 17)
-- 1
SELECT conversation.*, starter.username AS starter_name, owner.username AS owner_name, ( SELECT json_build_object( 'id', messages.id, 'conversation_id', messages.conversation_id, 'number', messages.number, 'from_id', messages.from_id, 'username', people.username, 'text', messages.text, 'at', messages.at, 'starter_wrote', messages.starter_wrote, 'owner_wrote', messages.owner_wrote, 'order_id', messages.order_id, 'offer_id', messages.offer_id, 'is_removed', messages.is_removed, 'files', ( SELECT json_agg(json_build_array(files.id, files.name, files.size, files.type) ORDER BY sent.position) FROM message_files AS sent JOIN files ON files.id = sent.file_id WHERE sent.message_id = messages.id ) ) FROM messages LEFT JOIN people ON people.id = messages.from_id WHERE messages.id = (SELECT id FROM messages WHERE conversation_id = conversation.id AND number = conversation.last_number) ) AS last_message FROM (SELECT id, starter_id, owner_id, gig_id, created_at, last_number, last_at, starter_read, owner_read FROM conversations WHERE id = $1) AS conversation LEFT JOIN people AS starter ON starter.id = conversation.starter_id LEFT JOIN people AS owner ON owner.id = conversation.owner_id;
-- 2
BEGIN;
SELECT pg_advisory_xact_lock(hashtextextended('token-buckets:' || $1::text, 0));
SELECT FROM conversations WHERE id = $1 FOR UPDATE;
SELECT conversation.*, starter.username AS starter_name, owner.username AS owner_name, ( SELECT json_build_object( 'id', messages.id, 'conversation_id', messages.conversation_id, 'number', messages.number, 'from_id', messages.from_id, 'username', people.username, 'text', messages.text, 'at', messages.at, 'starter_wrote', messages.starter_wrote, 'owner_wrote', messages.owner_wrote, 'order_id', messages.order_id, 'offer_id', messages.offer_id, 'is_removed', messages.is_removed, 'files', ( SELECT json_agg(json_build_array(files.id, files.name, files.size, files.type) ORDER BY sent.position) FROM message_files AS sent JOIN files ON files.id = sent.file_id WHERE sent.message_id = messages.id ) ) FROM messages LEFT JOIN people ON people.id = messages.from_id WHERE messages.id = (SELECT id FROM messages WHERE conversation_id = conversation.id AND number = conversation.last_number) ) AS last_message FROM (SELECT id, starter_id, owner_id, gig_id, created_at, last_number, last_at, starter_read, owner_read FROM conversations WHERE id = $1) AS conversation LEFT JOIN people AS starter ON starter.id = conversation.starter_id LEFT JOIN people AS owner ON owner.id = conversation.owner_id;
-- 3
SELECT EXISTS (SELECT FROM blocks WHERE blocker_id = $2 AND blocked_id = $1) AS is_blocked, EXISTS (SELECT FROM blocks WHERE blocker_id = $1 AND blocked_id = $2) AS is_blocking;
-- 4
SELECT kinds.kind, tokens, at, app_now() AS now FROM unnest($2::text[]) AS kinds (kind) LEFT JOIN token_buckets ON user_id = $1 AND token_buckets.kind = kinds.kind;
-- 5
INSERT INTO token_buckets (user_id, kind, tokens, at) VALUES ($1, $2, $3, $4) ON CONFLICT (user_id, kind) DO UPDATE SET tokens = excluded.tokens, at = excluded.at;
SELECT count(*) AS count FROM offers WHERE conversation_id = $1 AND status = 'OPEN' AND expires_at > app_now();
-- 6
SELECT app_now() AS now;
-- 7
INSERT INTO offers (id, conversation_id, gig_id, seller_id, buyer_id, title, description, price, delivery_days, revisions, status, expires_at, created_at, order_id) VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14);
WITH counted AS ( UPDATE conversations SET last_number = last_number + 1, last_at = greatest(last_at, app_now()), starter_wrote = starter_wrote + (starter_id = $3)::integer, owner_wrote = owner_wrote + (owner_id = $3)::integer WHERE id = $2 RETURNING id, last_number, last_at, starter_wrote, owner_wrote ) INSERT INTO messages ( id, conversation_id, number, from_id, text, order_id, offer_id, at, starter_wrote, owner_wrote ) SELECT $1, id, last_number, $3, $4, $5, $6, last_at, starter_wrote, owner_wrote FROM counted;
SELECT ( SELECT json_build_object( 'id', messages.id, 'conversation_id', messages.conversation_id, 'number', messages.number, 'from_id', messages.from_id, 'username', people.username, 'text', messages.text, 'at', messages.at, 'starter_wrote', messages.starter_wrote, 'owner_wrote', messages.owner_wrote, 'order_id', messages.order_id, 'offer_id', messages.offer_id, 'is_removed', messages.is_removed, 'files', ( SELECT json_agg(json_build_array(files.id, files.name, files.size, files.type) ORDER BY sent.position) FROM message_files AS sent JOIN files ON files.id = sent.file_id WHERE sent.message_id = messages.id ) ) FROM messages LEFT JOIN people ON people.id = messages.from_id WHERE messages.id = $1::uuid ) AS message;
-- 8
WITH event AS ( INSERT INTO events (id, type, buyer_id, seller_id, at, conversation_id, message_id) VALUES ($1, $2, $3, $4, $5, $6, $7) ) SELECT add_webhook_deliveries($1, $2, $3, $4);
WITH event AS ( INSERT INTO events (id, type, buyer_id, seller_id, at, conversation_id, offer_id, subject) VALUES ($1, $2, $3, $4, app_now(), $5, $6, $7::jsonb) ) SELECT add_webhook_deliveries($1, $2, $3, $4);
UPDATE idempotency_keys SET answer = $2 WHERE attempt = $1 AND answer IS NULL;
COMMIT;

-- MakeOffer: with a known key (messages: 1, statements: 1)
-- 1
SELECT digest, attempt, answer, etag FROM idempotency_keys WHERE caller = $1 AND scope = $2 AND key = $3 AND (answer IS NULL OR created_at > app_now() - $4::interval);

-- MakeOffer: with a new key (messages: 10, statements: 19)
-- 1
SELECT digest, attempt, answer, etag FROM idempotency_keys WHERE caller = $1 AND scope = $2 AND key = $3 AND (answer IS NULL OR created_at > app_now() - $4::interval);
-- 2
SELECT conversation.*, starter.username AS starter_name, owner.username AS owner_name, ( SELECT json_build_object( 'id', messages.id, 'conversation_id', messages.conversation_id, 'number', messages.number, 'from_id', messages.from_id, 'username', people.username, 'text', messages.text, 'at', messages.at, 'starter_wrote', messages.starter_wrote, 'owner_wrote', messages.owner_wrote, 'order_id', messages.order_id, 'offer_id', messages.offer_id, 'is_removed', messages.is_removed, 'files', ( SELECT json_agg(json_build_array(files.id, files.name, files.size, files.type) ORDER BY sent.position) FROM message_files AS sent JOIN files ON files.id = sent.file_id WHERE sent.message_id = messages.id ) ) FROM messages LEFT JOIN people ON people.id = messages.from_id WHERE messages.id = (SELECT id FROM messages WHERE conversation_id = conversation.id AND number = conversation.last_number) ) AS last_message FROM (SELECT id, starter_id, owner_id, gig_id, created_at, last_number, last_at, starter_read, owner_read FROM conversations WHERE id = $1) AS conversation LEFT JOIN people AS starter ON starter.id = conversation.starter_id LEFT JOIN people AS owner ON owner.id = conversation.owner_id;
-- 3
BEGIN;
INSERT INTO idempotency_keys AS known (caller, scope, key, digest, attempt, created_at) VALUES ($1, $2, $3, $4, $5, app_now()) ON CONFLICT (caller, scope, key) DO UPDATE SET digest = excluded.digest, attempt = excluded.attempt, answer = NULL, etag = '', created_at = excluded.created_at WHERE known.answer IS NOT NULL AND known.created_at <= app_now() - $6::interval RETURNING key;
-- 4
SELECT pg_advisory_xact_lock(hashtextextended('token-buckets:' || $1::text, 0));
SELECT FROM conversations WHERE id = $1 FOR UPDATE;
SELECT conversation.*, starter.username AS starter_name, owner.username AS owner_name, ( SELECT json_build_object( 'id', messages.id, 'conversation_id', messages.conversation_id, 'number', messages.number, 'from_id', messages.from_id, 'username', people.username, 'text', messages.text, 'at', messages.at, 'starter_wrote', messages.starter_wrote, 'owner_wrote', messages.owner_wrote, 'order_id', messages.order_id, 'offer_id', messages.offer_id, 'is_removed', messages.is_removed, 'files', ( SELECT json_agg(json_build_array(files.id, files.name, files.size, files.type) ORDER BY sent.position) FROM message_files AS sent JOIN files ON files.id = sent.file_id WHERE sent.message_id = messages.id ) ) FROM messages LEFT JOIN people ON people.id = messages.from_id WHERE messages.id = (SELECT id FROM messages WHERE conversation_id = conversation.id AND number = conversation.last_number) ) AS last_message FROM (SELECT id, starter_id, owner_id, gig_id, created_at, last_number, last_at, starter_read, owner_read FROM conversations WHERE id = $1) AS conversation LEFT JOIN people AS starter ON starter.id = conversation.starter_id LEFT JOIN people AS owner ON owner.id = conversation.owner_id;
-- 5
SELECT EXISTS (SELECT FROM blocks WHERE blocker_id = $2 AND blocked_id = $1) AS is_blocked, EXISTS (SELECT FROM blocks WHERE blocker_id = $1 AND blocked_id = $2) AS is_blocking;
-- 6
SELECT kinds.kind, tokens, at, app_now() AS now FROM unnest($2::text[]) AS kinds (kind) LEFT JOIN token_buckets ON user_id = $1 AND token_buckets.kind = kinds.kind;
-- 7
INSERT INTO token_buckets (user_id, kind, tokens, at) VALUES ($1, $2, $3, $4) ON CONFLICT (user_id, kind) DO UPDATE SET tokens = excluded.tokens, at = excluded.at;
SELECT count(*) AS count FROM offers WHERE conversation_id = $1 AND status = 'OPEN' AND expires_at > app_now();
-- 8
SELECT app_now() AS now;
-- 9
INSERT INTO offers (id, conversation_id, gig_id, seller_id, buyer_id, title, description, price, delivery_days, revisions, status, expires_at, created_at, order_id) VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14);
WITH counted AS ( UPDATE conversations SET last_number = last_number + 1, last_at = greatest(last_at, app_now()), starter_wrote = starter_wrote + (starter_id = $3)::integer, owner_wrote = owner_wrote + (owner_id = $3)::integer WHERE id = $2 RETURNING id, last_number, last_at, starter_wrote, owner_wrote ) INSERT INTO messages ( id, conversation_id, number, from_id, text, order_id, offer_id, at, starter_wrote, owner_wrote ) SELECT $1, id, last_number, $3, $4, $5, $6, last_at, starter_wrote, owner_wrote FROM counted;
SELECT ( SELECT json_build_object( 'id', messages.id, 'conversation_id', messages.conversation_id, 'number', messages.number, 'from_id', messages.from_id, 'username', people.username, 'text', messages.text, 'at', messages.at, 'starter_wrote', messages.starter_wrote, 'owner_wrote', messages.owner_wrote, 'order_id', messages.order_id, 'offer_id', messages.offer_id, 'is_removed', messages.is_removed, 'files', ( SELECT json_agg(json_build_array(files.id, files.name, files.size, files.type) ORDER BY sent.position) FROM message_files AS sent JOIN files ON files.id = sent.file_id WHERE sent.message_id = messages.id ) ) FROM messages LEFT JOIN people ON people.id = messages.from_id WHERE messages.id = $1::uuid ) AS message;
-- 10
WITH event AS ( INSERT INTO events (id, type, buyer_id, seller_id, at, conversation_id, message_id) VALUES ($1, $2, $3, $4, $5, $6, $7) ) SELECT add_webhook_deliveries($1, $2, $3, $4);
WITH event AS ( INSERT INTO events (id, type, buyer_id, seller_id, at, conversation_id, offer_id, subject) VALUES ($1, $2, $3, $4, app_now(), $5, $6, $7::jsonb) ) SELECT add_webhook_deliveries($1, $2, $3, $4);
UPDATE idempotency_keys SET answer = $2 WHERE attempt = $1 AND answer IS NULL;
COMMIT;

-- PlaceOrder: of an offer (messages: 22, statements: 38)
-- 1
SELECT id, conversation_id, gig_id, seller_id, buyer_id, title, description, price, delivery_days, revisions, status, expires_at, created_at, order_id, app_now() AS now FROM offers WHERE id = $1;
-- 2
SELECT blocks.*, ( SELECT count(*) FROM attempts WHERE data #>> '{wish,buyer_id}' = $1::uuid::text AND state IN ('confirming', 'refused') ) AS waiting FROM ( SELECT EXISTS (SELECT FROM blocks WHERE blocker_id = $2 AND blocked_id = $1) AS is_blocked, EXISTS (SELECT FROM blocks WHERE blocker_id = $1 AND blocked_id = $2) AS is_blocking ) AS blocks;
-- 3
BEGIN;
WITH locked AS (SELECT id, conversation_id, gig_id, seller_id, buyer_id, title, description, price, delivery_days, revisions, status, expires_at, created_at, order_id FROM offers WHERE id = $1 FOR UPDATE) SELECT *, app_now() AS now FROM locked;
-- 4
SELECT EXISTS (SELECT FROM attempts WHERE offer_id = $1 AND state = 'asking' AND order_id <> $2) AS is_reserved;
-- 5
INSERT INTO attempts (order_id, kind, data, created_at, next_try_at, offer_id) SELECT $1, 'authorize', $2::jsonb, now, now + $3::interval, $5::uuid FROM app_now() AS now RETURNING created_at, pg_try_advisory_lock(hashtextextended($4, 0));
-- 6
COMMIT;
-- 7
-- in the sandbox's database
INSERT INTO payments (order_id, reference, token, amount, currency, state, created_at, held_until, client_secret, confirms_at) SELECT $1, $2, $3, $4, $5, $6, now, now + $7::interval, $8, now + $9::interval FROM app_now() AS now, set_config('synchronous_commit', 'off', true) ON CONFLICT DO NOTHING RETURNING reference, amount, state, client_secret;
-- 8
BEGIN;
WITH locked AS (SELECT id, conversation_id, gig_id, seller_id, buyer_id, title, description, price, delivery_days, revisions, status, expires_at, created_at, order_id FROM offers WHERE id = $1 FOR UPDATE) SELECT *, app_now() AS now FROM locked;
-- 9
SELECT EXISTS (SELECT FROM attempts WHERE offer_id = $1 AND state = 'asking' AND order_id <> $2) AS is_reserved;
-- 10
UPDATE attempts SET kind = 'capture', state = 'asking', data = data || '{"message": ""}', reference = $2, capture_before = $3, tries = 0, next_try_at = app_now() + $4::interval WHERE order_id = $1 AND kind = 'authorize' AND state IN ('asking', 'confirming') RETURNING order_id;
-- 11
COMMIT;
-- 12
-- in the sandbox's database
BEGIN;
-- in the sandbox's database
SELECT order_id, reference, token, amount, state, held_until > app_now() AS is_held, client_secret FROM payments WHERE order_id = $1 FOR UPDATE;
-- 13
-- in the sandbox's database
UPDATE payments SET state = $2 WHERE order_id = $1;
-- in the sandbox's database
INSERT INTO fees (id, order_id, amount) VALUES ($1, $2, $3);
-- in the sandbox's database
SELECT id, amount FROM fees WHERE id = $1;
-- 14
-- in the sandbox's database
COMMIT;
-- 15
BEGIN;
WITH locked AS (SELECT id, conversation_id, gig_id, seller_id, buyer_id, title, description, price, delivery_days, revisions, status, expires_at, created_at, order_id FROM offers WHERE id = $1 FOR UPDATE) SELECT *, app_now() AS now FROM locked;
-- 16
UPDATE attempts SET state = 'giving_up', tries = 0, next_try_at = app_now() WHERE offer_id = $1 AND kind = 'authorize' AND (state IN ('confirming', 'refused') OR state = 'asking' AND NOT is_in_doubt);
WITH ended AS (DELETE FROM attempts WHERE order_id = ($1::jsonb ->> 'id')::uuid AND state <> 'giving_up' AND (kind = 'authorize' OR offer_id IS NOT NULL) RETURNING order_id), changed AS ( INSERT INTO orders (id, version, status, buyer_id, seller_id, gig_id, gig_title, package_id, package_title, price, currency, delivery_days, revisions_left, requirements, payment_method, due_at, first_delivered_at, last_delivered_at, created_at, updated_at, payment_status, payment_reference, capture_before, refund_due, refunded, charged_back, commission_percent, platform_refund, fees, postings, chargeback_amount, chargeback_state, evidence_due_by, reminded_of, extension_days, extension_message, extension_at, extended_days, offer_id, has_lines) SELECT id, version, status, buyer_id, seller_id, gig_id, gig_title, package_id, package_title, price, currency, delivery_days, revisions_left, requirements, payment_method, due_at, first_delivered_at, last_delivered_at, created_at, updated_at, payment_status, payment_reference, capture_before, refund_due, refunded, charged_back, commission_percent, platform_refund, fees, postings, chargeback_amount, chargeback_state, evidence_due_by, reminded_of, extension_days, extension_message, extension_at, extended_days, offer_id, $1::jsonb -> 'lines' <> '[]' FROM jsonb_populate_record(NULL::orders, $1::jsonb), ended RETURNING orders.id, orders.version, orders.buyer_id, orders.seller_id ), history AS ( INSERT INTO order_events (order_id, version, at, by, action, came_from, went_to, message, amount, paid_by, is_reminder) SELECT id, version, $4, $5, $6, $7, $8, $9, $10, $11, $12 FROM changed ), event AS ( INSERT INTO events (id, at, type, order_id, version, buyer_id, seller_id, subject) SELECT $2, $4, $3, id, version, buyer_id, seller_id, $1::jsonb FROM changed ) , lines AS ( INSERT INTO order_lines (order_id, position, title, unit_price, quantity) SELECT changed.id, position, title, unit_price, quantity FROM changed, ROWS FROM ( jsonb_to_recordset($1::jsonb -> 'lines') AS (title text, unit_price numeric, quantity integer) ) WITH ORDINALITY AS line (title, unit_price, quantity, position) ), answered AS (UPDATE idempotency_keys SET answer = $13 WHERE attempt = (SELECT id FROM changed) AND answer IS NULL) SELECT add_webhook_deliveries($2, $3, buyer_id, seller_id), pg_advisory_unlock(hashtextextended($14, 0)) FROM changed;
-- 17
UPDATE offers SET status = $2, order_id = $3 WHERE id = $1;
WITH event AS ( INSERT INTO events (id, type, buyer_id, seller_id, at, conversation_id, offer_id, subject) VALUES ($1, $2, $3, $4, app_now(), $5, $6, $7::jsonb) ) SELECT add_webhook_deliveries($1, $2, $3, $4);
INSERT INTO ledger_accounts (owner, name) SELECT $1, name FROM unnest($2::text[]) AS name ORDER BY name ON CONFLICT DO NOTHING;
SELECT id FROM ledger_accounts WHERE owner = $1 ORDER BY id FOR UPDATE;
WITH transaction AS ( INSERT INTO ledger_transactions (reference, order_id, payout_id, adjustment_id, message, at) VALUES ($1, $2, $3, $4, $5, $6) RETURNING id ), line AS ( SELECT place, owner, amount, kind, CASE WHEN owner IS NULL THEN (SELECT id FROM ledger_accounts WHERE owner IS NULL AND name = account) ELSE (SELECT id FROM ledger_accounts WHERE owner = line.owner AND name = account) END AS account_id FROM unnest($7::uuid[], $8::text[], $9::numeric[], $10::text[]) WITH ORDINALITY AS line (owner, account, amount, kind, place) ), numbered AS ( SELECT line.*, coalesce(last.number, 0) + row_number() OVER so_far AS number, coalesce(last.balance, 0) + sum(amount) OVER so_far AS balance FROM line LEFT JOIN LATERAL ( SELECT number, balance FROM ledger_entries WHERE line.owner IS NOT NULL AND account_id = line.account_id ORDER BY number DESC LIMIT 1 ) AS last ON true WINDOW so_far AS (PARTITION BY line.account_id ORDER BY place) ) INSERT INTO ledger_entries (transaction_id, account_id, amount, kind, number, balance_before, balance) SELECT transaction.id, account_id, amount, kind, CASE WHEN owner IS NOT NULL THEN number END, CASE WHEN owner IS NOT NULL THEN balance - amount END, CASE WHEN owner IS NOT NULL THEN balance END FROM transaction, numbered ORDER BY place;
WITH locked AS (SELECT id, version, status, buyer_id, seller_id, gig_id, gig_title, package_id, package_title, price, currency, delivery_days, revisions_left, requirements, payment_method, due_at, first_delivered_at, last_delivered_at, created_at, updated_at, payment_status, payment_reference, capture_before, refund_due, refunded, charged_back, commission_percent, platform_refund, fees, postings, chargeback_amount, chargeback_state, evidence_due_by, reminded_of, extension_days, extension_message, extension_at, extended_days, offer_id, has_lines FROM orders WHERE id = $1 FOR UPDATE) SELECT id, version, status, buyer_id, seller_id, gig_id, gig_title, package_id, package_title, price, currency, delivery_days, revisions_left, requirements, payment_method, due_at, first_delivered_at, last_delivered_at, created_at, updated_at, payment_status, payment_reference, capture_before, refund_due, refunded, charged_back, commission_percent, platform_refund, fees, postings, chargeback_amount, chargeback_state, evidence_due_by, reminded_of, extension_days, extension_message, extension_at, extended_days, offer_id, CASE WHEN locked.has_lines THEN ( SELECT json_agg(json_build_array(title, unit_price::text, quantity) ORDER BY position) FROM order_lines WHERE order_id = locked.id ) END AS lines , app_now() AS now FROM locked;
-- 18
SELECT id, order_id, amount, state, evidence_due_by, reported_at FROM chargebacks WHERE order_id = $1 ORDER BY reported_at, id;
-- 19
SELECT id, order_id, amount, state, provider_id FROM refunds WHERE order_id = $1 ORDER BY created_at, id;
-- 20
SELECT id, order_id, amount, state, evidence_due_by, reported_at FROM chargebacks WHERE order_id = $1 ORDER BY reported_at, id;
-- 21
INSERT INTO provider_fees (id, order_id, amount, reported_at) VALUES ($1, $2, $3, app_now()) ON CONFLICT DO NOTHING;
SELECT coalesce(sum(amount), 0) AS amount FROM provider_fees WHERE order_id = $1;
-- 22
UPDATE orders SET version = new.version, status = new.status, buyer_id = new.buyer_id, seller_id = new.seller_id, gig_id = new.gig_id, gig_title = new.gig_title, package_id = new.package_id, package_title = new.package_title, price = new.price, currency = new.currency, delivery_days = new.delivery_days, revisions_left = new.revisions_left, requirements = new.requirements, payment_method = new.payment_method, due_at = new.due_at, first_delivered_at = new.first_delivered_at, last_delivered_at = new.last_delivered_at, created_at = new.created_at, updated_at = new.updated_at, payment_status = new.payment_status, payment_reference = new.payment_reference, capture_before = new.capture_before, refund_due = new.refund_due, refunded = new.refunded, charged_back = new.charged_back, commission_percent = new.commission_percent, platform_refund = new.platform_refund, fees = new.fees, postings = new.postings, chargeback_amount = new.chargeback_amount, chargeback_state = new.chargeback_state, evidence_due_by = new.evidence_due_by, reminded_of = new.reminded_of, extension_days = new.extension_days, extension_message = new.extension_message, extension_at = new.extension_at, extended_days = new.extended_days, offer_id = new.offer_id FROM jsonb_populate_record(NULL::orders, $1::jsonb) AS new WHERE orders.id = ($1::jsonb ->> 'id')::uuid;
WITH transaction AS ( INSERT INTO ledger_transactions (reference, order_id, payout_id, adjustment_id, message, at) VALUES ($1, $2, $3, $4, $5, $6) RETURNING id ), line AS ( SELECT place, owner, amount, kind, CASE WHEN owner IS NULL THEN (SELECT id FROM ledger_accounts WHERE owner IS NULL AND name = account) ELSE (SELECT id FROM ledger_accounts WHERE owner = line.owner AND name = account) END AS account_id FROM unnest($7::uuid[], $8::text[], $9::numeric[], $10::text[]) WITH ORDINALITY AS line (owner, account, amount, kind, place) ), numbered AS ( SELECT line.*, coalesce(last.number, 0) + row_number() OVER so_far AS number, coalesce(last.balance, 0) + sum(amount) OVER so_far AS balance FROM line LEFT JOIN LATERAL ( SELECT number, balance FROM ledger_entries WHERE line.owner IS NOT NULL AND account_id = line.account_id ORDER BY number DESC LIMIT 1 ) AS last ON true WINDOW so_far AS (PARTITION BY line.account_id ORDER BY place) ) INSERT INTO ledger_entries (transaction_id, account_id, amount, kind, number, balance_before, balance) SELECT transaction.id, account_id, amount, kind, CASE WHEN owner IS NOT NULL THEN number END, CASE WHEN owner IS NOT NULL THEN balance - amount END, CASE WHEN owner IS NOT NULL THEN balance END FROM transaction, numbered ORDER BY place;
COMMIT;
SELECT pg_advisory_unlock(hashtextextended($1, 0));

-- WithdrawOffer (messages: 3, statements: 7)
-- 1
BEGIN;
WITH locked AS (SELECT id, conversation_id, gig_id, seller_id, buyer_id, title, description, price, delivery_days, revisions, status, expires_at, created_at, order_id FROM offers WHERE id = $1 FOR UPDATE) SELECT *, app_now() AS now FROM locked;
-- 2
UPDATE attempts SET state = 'giving_up', tries = 0, next_try_at = app_now() WHERE offer_id = $1 AND kind = 'authorize' AND (state IN ('confirming', 'refused') OR state = 'asking' AND NOT is_in_doubt);
SELECT EXISTS (SELECT FROM attempts WHERE offer_id = $1 AND state = 'asking' AND order_id <> $2) AS is_reserved;
-- 3
UPDATE offers SET status = $2, order_id = $3 WHERE id = $1;
WITH event AS ( INSERT INTO events (id, type, buyer_id, seller_id, at, conversation_id, offer_id, subject) VALUES ($1, $2, $3, $4, app_now(), $5, $6, $7::jsonb) ) SELECT add_webhook_deliveries($1, $2, $3, $4);
COMMIT;
