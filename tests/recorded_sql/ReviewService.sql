-- ListReviews (messages: 1, statements: 1)
-- 1
SELECT page.*, version, stars_1, stars_2, stars_3, stars_4, stars_5 FROM gig_ratings LEFT JOIN ( SELECT id, order_id, gig_id, buyer_id, buyer_name, stars, comment, created_at, reply, replied_at FROM reviews WHERE gig_id = $1::uuid AND (created_at, id) < ($3::timestamptz, $4::uuid) ORDER BY created_at DESC, id DESC LIMIT $2::integer ) AS page ON true WHERE gig_ratings.gig_id = $1::uuid ORDER BY created_at DESC, id DESC;

-- ListReviews: signed in (messages: 1, statements: 1)
-- 1
SELECT page.*, version, stars_1, stars_2, stars_3, stars_4, stars_5 FROM gig_ratings LEFT JOIN ( SELECT id, order_id, gig_id, buyer_id, buyer_name, stars, comment, created_at, reply, replied_at FROM reviews WHERE gig_id = $1::uuid AND (created_at, id) < ($3::timestamptz, $4::uuid) ORDER BY created_at DESC, id DESC LIMIT $2::integer ) AS page ON true WHERE gig_ratings.gig_id = $1::uuid ORDER BY created_at DESC, id DESC;

-- ReplyToReview (messages: 3, statements: 4)
-- 1
SELECT id, order_id, gig_id, buyer_id, buyer_name, stars, comment, created_at, reply, replied_at FROM reviews WHERE id = $1;
-- 2
BEGIN;
UPDATE reviews SET reply = $2, replied_at = app_now() WHERE id = $1 AND reply IS NULL RETURNING id, order_id, gig_id, buyer_id, buyer_name, stars, comment, created_at, reply, replied_at;
-- 3
COMMIT;

-- SubmitReview (messages: 4, statements: 7)
-- 1
BEGIN;
SELECT app_now() AS now;
-- 2
INSERT INTO "reviews" ("id", "order_id", "gig_id", "buyer_id", "buyer_name", "stars", "comment", "created_at") VALUES (%s, %s, %s, %s, %s, %s, %s, %s) ON CONFLICT ("order_id") DO NOTHING RETURNING "reviews"."id";
-- 3
INSERT INTO gig_ratings AS known (gig_id, version, stars_1, stars_2, stars_3, stars_4, stars_5) VALUES ($1, 1, ($2 = 1)::integer, ($2 = 2)::integer, ($2 = 3)::integer, ($2 = 4)::integer, ($2 = 5)::integer) ON CONFLICT (gig_id) DO UPDATE SET version = known.version + 1, stars_1 = known.stars_1 + excluded.stars_1, stars_2 = known.stars_2 + excluded.stars_2, stars_3 = known.stars_3 + excluded.stars_3, stars_4 = known.stars_4 + excluded.stars_4, stars_5 = known.stars_5 + excluded.stars_5 RETURNING version, stars_1, stars_2, stars_3, stars_4, stars_5;
-- 4
INSERT INTO outbox (topic, key, version, payload, created_at, next_attempt_at) SELECT $1, $2, $3, $4::jsonb, now, now FROM app_now() AS now;
UPDATE idempotency_keys SET answer = $2 WHERE attempt = $1 AND answer IS NULL;
COMMIT;

-- SubmitReview: with a key (messages: 6, statements: 9)
-- 1
SELECT digest, attempt, answer, etag FROM idempotency_keys WHERE caller = $1 AND scope = $2 AND key = $3 AND (answer IS NULL OR created_at > app_now() - $4::interval);
-- 2
BEGIN;
INSERT INTO idempotency_keys AS known (caller, scope, key, digest, attempt, created_at) VALUES ($1, $2, $3, $4, $5, app_now()) ON CONFLICT (caller, scope, key) DO UPDATE SET digest = excluded.digest, attempt = excluded.attempt, answer = NULL, etag = '', created_at = excluded.created_at WHERE known.answer IS NOT NULL AND known.created_at <= app_now() - $6::interval RETURNING key;
-- 3
SELECT app_now() AS now;
-- 4
INSERT INTO "reviews" ("id", "order_id", "gig_id", "buyer_id", "buyer_name", "stars", "comment", "created_at") VALUES (%s, %s, %s, %s, %s, %s, %s, %s) ON CONFLICT ("order_id") DO NOTHING RETURNING "reviews"."id";
-- 5
INSERT INTO gig_ratings AS known (gig_id, version, stars_1, stars_2, stars_3, stars_4, stars_5) VALUES ($1, 1, ($2 = 1)::integer, ($2 = 2)::integer, ($2 = 3)::integer, ($2 = 4)::integer, ($2 = 5)::integer) ON CONFLICT (gig_id) DO UPDATE SET version = known.version + 1, stars_1 = known.stars_1 + excluded.stars_1, stars_2 = known.stars_2 + excluded.stars_2, stars_3 = known.stars_3 + excluded.stars_3, stars_4 = known.stars_4 + excluded.stars_4, stars_5 = known.stars_5 + excluded.stars_5 RETURNING version, stars_1, stars_2, stars_3, stars_4, stars_5;
-- 6
INSERT INTO outbox (topic, key, version, payload, created_at, next_attempt_at) SELECT $1, $2, $3, $4::jsonb, now, now FROM app_now() AS now;
UPDATE idempotency_keys SET answer = $2 WHERE attempt = $1 AND answer IS NULL;
COMMIT;

-- SubmitReview: with a known key (messages: 1, statements: 1)
-- 1
SELECT digest, attempt, answer, etag FROM idempotency_keys WHERE caller = $1 AND scope = $2 AND key = $3 AND (answer IS NULL OR created_at > app_now() - $4::interval);
