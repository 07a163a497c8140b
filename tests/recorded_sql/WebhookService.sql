-- CreateWebhookEndpoint (messages: 4, statements: 5)
-- 1
BEGIN;
SELECT pg_advisory_xact_lock(hashtextextended('webhook-endpoints:' || $1::text, 0));
-- 2
SELECT count(*) AS count FROM webhook_endpoints WHERE owner_id = $1 AND deleted_at IS NULL;
-- 3
INSERT INTO webhook_endpoints (id, owner_id, is_admin, url, types, status, secret, secret_key, created_at) VALUES ($1, $2, $3, $4, $5::text[], 'ENABLED', $6, $7, app_now()) RETURNING id, owner_id, is_admin, url, types, status, secret, created_at;
-- 4
COMMIT;

-- DeleteWebhookEndpoint (messages: 2, statements: 2)
-- 1
SELECT id, owner_id, is_admin, url, types, status, secret, created_at FROM webhook_endpoints WHERE id = $1 AND deleted_at IS NULL;
-- 2
UPDATE webhook_endpoints SET deleted_at = app_now(), url = '', secret = '', status = 'DISABLED' WHERE id = $1 AND deleted_at IS NULL RETURNING id;

-- GetWebhookEndpoint (messages: 1, statements: 1)
-- 1
SELECT id, owner_id, is_admin, url, types, status, secret, created_at FROM webhook_endpoints WHERE id = $1 AND deleted_at IS NULL;

-- ListWebhookDeliveries (messages: 2, statements: 2)
-- 1
SELECT id, owner_id, is_admin, url, types, status, secret, created_at FROM webhook_endpoints WHERE id = $1 AND deleted_at IS NULL;
-- 2
SELECT id, endpoint_id, event_id, status, round, is_retry, attempts, round_attempts, tried_since, last_status, created_at, next_at FROM webhook_deliveries WHERE endpoint_id = $1 AND (created_at, id) < ($2::timestamptz, $3::uuid) ORDER BY created_at DESC, id DESC LIMIT (SELECT $4::integer);

-- ListWebhookEndpoints (messages: 1, statements: 1)
-- 1
SELECT id, owner_id, is_admin, url, types, status, secret, created_at FROM webhook_endpoints WHERE owner_id = $1 AND deleted_at IS NULL ORDER BY created_at DESC, id DESC;

-- RetryWebhookDelivery (messages: 4, statements: 7)
-- 1
SELECT id, owner_id, is_admin, url, types, status, secret, created_at FROM webhook_endpoints WHERE id = $1 AND deleted_at IS NULL;
-- 2
BEGIN;
SELECT id, endpoint_id, event_id, status, round, is_retry, attempts, round_attempts, tried_since, last_status, created_at, next_at FROM webhook_deliveries WHERE id = $1 FOR UPDATE;
-- 3
UPDATE webhook_deliveries SET status = 'PENDING', round = round + 1, is_retry = true, round_attempts = 0, tried_since = NULL, next_at = app_now() WHERE id = $1 RETURNING id, endpoint_id, event_id, status, round, is_retry, attempts, round_attempts, tried_since, last_status, created_at, next_at;
-- 4
DELETE FROM outbox WHERE topic = $1 AND key = $2;
INSERT INTO outbox (topic, key, version, payload, created_at, next_attempt_at) SELECT $1, $2, $3, $4::jsonb, now, now FROM app_now() AS now;
COMMIT;
