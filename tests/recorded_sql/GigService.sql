-- AddPackage (messages: 10, statements: 11)
-- 1
BEGIN;
SELECT id FROM gigs WHERE id = $1 FOR UPDATE;
-- 2
SELECT id, seller_id, status, version, array(SELECT p.id FROM packages AS p WHERE p.gig_id = gigs.id ORDER BY p.position) AS package_ids, array(SELECT i.id FROM images AS i WHERE i.gig_id = gigs.id ORDER BY i.position) AS image_ids FROM gigs WHERE id = $1 AND deleted_at IS NULL;
-- 3
INSERT INTO "sellers" ("id", "username", "version", "buyer_count", "buyer_rating_sum") VALUES (%s, %s, %s, %s, %s) ON CONFLICT ("id") DO UPDATE SET "username" = EXCLUDED."username", "version" = ("sellers"."version" + %s) WHERE ((EXCLUDED."username" != %s) AND (EXCLUDED."username" != "sellers"."username")) RETURNING "sellers"."id";
-- 4
SELECT coalesce(max(position), 0) AS last FROM packages WHERE gig_id = $1;
-- 5
INSERT INTO "packages" ("id", "gig_id", "position", "title", "description", "price", "delivery_days", "features", "revisions", "extras") VALUES (%s, %s, %s, %s, %s, %s, %s, %s, %s, %s) RETURNING "packages"."id";
-- 6
SELECT app_now() AS now;
-- 7
UPDATE "gigs" SET "version" = ("gigs"."version" + %s), "updated_at" = %s WHERE ("gigs"."id" = %s);
-- 8
WITH rows AS MATERIALIZED ( SELECT p.id AS package_id, g.id AS gig_id, g.seller_id, g.status, g.category_id, coalesce(c.parent_id, c.id) AS section_id, p.price, p.delivery_days, g.rating, g.review_count, g.created_at, row_number() OVER (PARTITION BY g.id ORDER BY p.price, p.id) = 1 AS is_cheapest, b.word_bits FROM gigs AS g CROSS JOIN LATERAL ( SELECT coalesce( (SELECT word_bits FROM search_rows WHERE gig_id = g.id AND word_bits IS NOT NULL LIMIT 1), word_bits(tsvector_to_array(g.document)) ) AS word_bits OFFSET 0 ) AS b JOIN packages AS p ON p.gig_id = g.id JOIN categories AS c ON c.id = g.category_id WHERE g.deleted_at IS NULL AND g.id = $1), gone AS ( DELETE FROM search_rows WHERE gig_id = $1 AND package_id NOT IN (SELECT package_id FROM rows) ) INSERT INTO search_rows AS stored (package_id, gig_id, seller_id, status, category_id, section_id, price, delivery_days, rating, review_count, created_at, is_cheapest, word_bits) SELECT * FROM rows ON CONFLICT (package_id) DO UPDATE SET (status, category_id, section_id, price, delivery_days, rating, review_count, is_cheapest, word_bits) = (excluded.status, excluded.category_id, excluded.section_id, excluded.price, excluded.delivery_days, excluded.rating, excluded.review_count, excluded.is_cheapest, excluded.word_bits) WHERE (stored.status, stored.category_id, stored.section_id, stored.price, stored.delivery_days, stored.rating, stored.review_count, stored.is_cheapest, stored.word_bits) IS DISTINCT FROM (excluded.status, excluded.category_id, excluded.section_id, excluded.price, excluded.delivery_days, excluded.rating, excluded.review_count, excluded.is_cheapest, excluded.word_bits);
-- 9
SELECT g.id, g.title, g.description, g.category_id, g.tags, g.status, g.version, g.rating_version, g.rating, g.review_count, g.created_at, g.updated_at, g.seller_id, s.username, s.version AS seller_version, s.buyer_count, s.buyer_rating_sum, ( SELECT coalesce(json_agg(json_build_object( 'id', p.id, 'title', p.title, 'description', p.description, 'price', p.price::text, 'delivery_days', p.delivery_days, 'features', p.features, 'revisions', p.revisions, 'extras', p.extras ) ORDER BY p.position), '[]') FROM packages AS p WHERE p.gig_id = g.id ) AS packages, ( SELECT coalesce(json_agg(json_build_object( 'id', i.id, 'key', i.key, 'thumbnail_key', i.thumbnail_key, 'is_primary', i.is_primary ) ORDER BY i.position), '[]') FROM images AS i WHERE i.gig_id = g.id ) AS images FROM gigs AS g JOIN sellers AS s ON s.id = g.seller_id WHERE g.id = $1 AND g.deleted_at IS NULL;
-- 10
COMMIT;

-- ApplyRating (messages: 4, statements: 5)
-- 1
BEGIN;
SELECT rating_version, review_count, rating_sum FROM gigs WHERE id = $1 FOR UPDATE;
-- 2
UPDATE "gigs" SET "rating_version" = %s, "review_count" = %s, "rating_sum" = %s, "rating" = %s WHERE ("gigs"."id" = %s);
-- 3
WITH rows AS MATERIALIZED ( SELECT p.id AS package_id, g.id AS gig_id, g.seller_id, g.status, g.category_id, coalesce(c.parent_id, c.id) AS section_id, p.price, p.delivery_days, g.rating, g.review_count, g.created_at, row_number() OVER (PARTITION BY g.id ORDER BY p.price, p.id) = 1 AS is_cheapest, b.word_bits FROM gigs AS g CROSS JOIN LATERAL ( SELECT coalesce( (SELECT word_bits FROM search_rows WHERE gig_id = g.id AND word_bits IS NOT NULL LIMIT 1), word_bits(tsvector_to_array(g.document)) ) AS word_bits OFFSET 0 ) AS b JOIN packages AS p ON p.gig_id = g.id JOIN categories AS c ON c.id = g.category_id WHERE g.deleted_at IS NULL AND g.id = $1), gone AS ( DELETE FROM search_rows WHERE gig_id = $1 AND package_id NOT IN (SELECT package_id FROM rows) ) INSERT INTO search_rows AS stored (package_id, gig_id, seller_id, status, category_id, section_id, price, delivery_days, rating, review_count, created_at, is_cheapest, word_bits) SELECT * FROM rows ON CONFLICT (package_id) DO UPDATE SET (status, category_id, section_id, price, delivery_days, rating, review_count, is_cheapest, word_bits) = (excluded.status, excluded.category_id, excluded.section_id, excluded.price, excluded.delivery_days, excluded.rating, excluded.review_count, excluded.is_cheapest, excluded.word_bits) WHERE (stored.status, stored.category_id, stored.section_id, stored.price, stored.delivery_days, stored.rating, stored.review_count, stored.is_cheapest, stored.word_bits) IS DISTINCT FROM (excluded.status, excluded.category_id, excluded.section_id, excluded.price, excluded.delivery_days, excluded.rating, excluded.review_count, excluded.is_cheapest, excluded.word_bits);
-- 4
COMMIT;

-- ApplyReview (messages: 5, statements: 6)
-- 1
BEGIN;
SELECT id, buyer_count, buyer_rating_sum FROM sellers WHERE id = (SELECT seller_id FROM gigs WHERE gigs.id = $1) FOR UPDATE;
-- 2
SELECT review_id, created_at, stars FROM seller_reviews WHERE seller_id = $1 AND buyer_id = $2;
-- 3
INSERT INTO "seller_reviews" ("seller_id", "buyer_id", "review_id", "created_at", "stars") VALUES (%s, %s, %s, %s, %s) ON CONFLICT ("seller_id", "buyer_id") DO UPDATE SET "review_id" = EXCLUDED."review_id", "created_at" = EXCLUDED."created_at", "stars" = EXCLUDED."stars" RETURNING "seller_reviews"."seller_id", "seller_reviews"."buyer_id";
-- 4
UPDATE "sellers" SET "version" = ("sellers"."version" + %s), "buyer_count" = %s, "buyer_rating_sum" = %s WHERE ("sellers"."id" = %s);
-- 5
COMMIT;

-- CreateGig (messages: 11, statements: 11)
-- 1
BEGIN;
-- 2
INSERT INTO "sellers" ("id", "username", "version", "buyer_count", "buyer_rating_sum") VALUES (%s, %s, %s, %s, %s) ON CONFLICT ("id") DO UPDATE SET "username" = EXCLUDED."username", "version" = ("sellers"."version" + %s) WHERE ((EXCLUDED."username" != %s) AND (EXCLUDED."username" != "sellers"."username")) RETURNING "sellers"."id";
-- 3
SELECT app_now() AS now;
-- 4
INSERT INTO "gigs" ("id", "seller_id", "title", "description", "category_id", "tags", "status", "version", "created_at", "updated_at", "rating_version", "review_count", "rating_sum", "rating", "thumbnail_key", "document") VALUES (%s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s) RETURNING "gigs"."id";
-- 5
SELECT coalesce(max(position), 0) AS last FROM packages WHERE gig_id = $1;
-- 6
INSERT INTO "packages" ("id", "gig_id", "position", "title", "description", "price", "delivery_days", "features", "revisions", "extras") VALUES (%s, %s, %s, %s, %s, %s, %s, %s, %s, %s) RETURNING "packages"."id";
-- 7
WITH rows AS MATERIALIZED ( SELECT p.id AS package_id, g.id AS gig_id, g.seller_id, g.status, g.category_id, coalesce(c.parent_id, c.id) AS section_id, p.price, p.delivery_days, g.rating, g.review_count, g.created_at, row_number() OVER (PARTITION BY g.id ORDER BY p.price, p.id) = 1 AS is_cheapest, b.word_bits FROM gigs AS g CROSS JOIN LATERAL ( SELECT coalesce( (SELECT word_bits FROM search_rows WHERE gig_id = g.id AND word_bits IS NOT NULL LIMIT 1), word_bits(tsvector_to_array(g.document)) ) AS word_bits OFFSET 0 ) AS b JOIN packages AS p ON p.gig_id = g.id JOIN categories AS c ON c.id = g.category_id WHERE g.deleted_at IS NULL AND g.id = $1), gone AS ( DELETE FROM search_rows WHERE gig_id = $1 AND package_id NOT IN (SELECT package_id FROM rows) ) INSERT INTO search_rows AS stored (package_id, gig_id, seller_id, status, category_id, section_id, price, delivery_days, rating, review_count, created_at, is_cheapest, word_bits) SELECT * FROM rows ON CONFLICT (package_id) DO UPDATE SET (status, category_id, section_id, price, delivery_days, rating, review_count, is_cheapest, word_bits) = (excluded.status, excluded.category_id, excluded.section_id, excluded.price, excluded.delivery_days, excluded.rating, excluded.review_count, excluded.is_cheapest, excluded.word_bits) WHERE (stored.status, stored.category_id, stored.section_id, stored.price, stored.delivery_days, stored.rating, stored.review_count, stored.is_cheapest, stored.word_bits) IS DISTINCT FROM (excluded.status, excluded.category_id, excluded.section_id, excluded.price, excluded.delivery_days, excluded.rating, excluded.review_count, excluded.is_cheapest, excluded.word_bits);
-- 8
SELECT word, gigs FROM words WHERE word = ANY ($1::text[]);
-- 9
INSERT INTO words (word, gigs) SELECT word, gigs FROM unnest($1::text[], $2::integer[]) AS counted (word, gigs) ORDER BY word ON CONFLICT (word) DO UPDATE SET gigs = greatest(0, words.gigs + excluded.gigs);
-- 10
SELECT g.id, g.title, g.description, g.category_id, g.tags, g.status, g.version, g.rating_version, g.rating, g.review_count, g.created_at, g.updated_at, g.seller_id, s.username, s.version AS seller_version, s.buyer_count, s.buyer_rating_sum, ( SELECT coalesce(json_agg(json_build_object( 'id', p.id, 'title', p.title, 'description', p.description, 'price', p.price::text, 'delivery_days', p.delivery_days, 'features', p.features, 'revisions', p.revisions, 'extras', p.extras ) ORDER BY p.position), '[]') FROM packages AS p WHERE p.gig_id = g.id ) AS packages, ( SELECT coalesce(json_agg(json_build_object( 'id', i.id, 'key', i.key, 'thumbnail_key', i.thumbnail_key, 'is_primary', i.is_primary ) ORDER BY i.position), '[]') FROM images AS i WHERE i.gig_id = g.id ) AS images FROM gigs AS g JOIN sellers AS s ON s.id = g.seller_id WHERE g.id = $1 AND g.deleted_at IS NULL;
-- 11
COMMIT;

-- CreateGig: the first one of a worker (messages: 12, statements: 12)
-- 1
SELECT id, slug, name, parent_id FROM categories ORDER BY position;
-- 2
BEGIN;
-- 3
INSERT INTO "sellers" ("id", "username", "version", "buyer_count", "buyer_rating_sum") VALUES (%s, %s, %s, %s, %s) ON CONFLICT ("id") DO UPDATE SET "username" = EXCLUDED."username", "version" = ("sellers"."version" + %s) WHERE ((EXCLUDED."username" != %s) AND (EXCLUDED."username" != "sellers"."username")) RETURNING "sellers"."id";
-- 4
SELECT app_now() AS now;
-- 5
INSERT INTO "gigs" ("id", "seller_id", "title", "description", "category_id", "tags", "status", "version", "created_at", "updated_at", "rating_version", "review_count", "rating_sum", "rating", "thumbnail_key", "document") VALUES (%s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s) RETURNING "gigs"."id";
-- 6
SELECT coalesce(max(position), 0) AS last FROM packages WHERE gig_id = $1;
-- 7
INSERT INTO "packages" ("id", "gig_id", "position", "title", "description", "price", "delivery_days", "features", "revisions", "extras") VALUES (%s, %s, %s, %s, %s, %s, %s, %s, %s, %s) RETURNING "packages"."id";
-- 8
WITH rows AS MATERIALIZED ( SELECT p.id AS package_id, g.id AS gig_id, g.seller_id, g.status, g.category_id, coalesce(c.parent_id, c.id) AS section_id, p.price, p.delivery_days, g.rating, g.review_count, g.created_at, row_number() OVER (PARTITION BY g.id ORDER BY p.price, p.id) = 1 AS is_cheapest, b.word_bits FROM gigs AS g CROSS JOIN LATERAL ( SELECT coalesce( (SELECT word_bits FROM search_rows WHERE gig_id = g.id AND word_bits IS NOT NULL LIMIT 1), word_bits(tsvector_to_array(g.document)) ) AS word_bits OFFSET 0 ) AS b JOIN packages AS p ON p.gig_id = g.id JOIN categories AS c ON c.id = g.category_id WHERE g.deleted_at IS NULL AND g.id = $1), gone AS ( DELETE FROM search_rows WHERE gig_id = $1 AND package_id NOT IN (SELECT package_id FROM rows) ) INSERT INTO search_rows AS stored (package_id, gig_id, seller_id, status, category_id, section_id, price, delivery_days, rating, review_count, created_at, is_cheapest, word_bits) SELECT * FROM rows ON CONFLICT (package_id) DO UPDATE SET (status, category_id, section_id, price, delivery_days, rating, review_count, is_cheapest, word_bits) = (excluded.status, excluded.category_id, excluded.section_id, excluded.price, excluded.delivery_days, excluded.rating, excluded.review_count, excluded.is_cheapest, excluded.word_bits) WHERE (stored.status, stored.category_id, stored.section_id, stored.price, stored.delivery_days, stored.rating, stored.review_count, stored.is_cheapest, stored.word_bits) IS DISTINCT FROM (excluded.status, excluded.category_id, excluded.section_id, excluded.price, excluded.delivery_days, excluded.rating, excluded.review_count, excluded.is_cheapest, excluded.word_bits);
-- 9
SELECT word, gigs FROM words WHERE word = ANY ($1::text[]);
-- 10
INSERT INTO words (word, gigs) SELECT word, gigs FROM unnest($1::text[], $2::integer[]) AS counted (word, gigs) ORDER BY word ON CONFLICT (word) DO UPDATE SET gigs = greatest(0, words.gigs + excluded.gigs);
-- 11
SELECT g.id, g.title, g.description, g.category_id, g.tags, g.status, g.version, g.rating_version, g.rating, g.review_count, g.created_at, g.updated_at, g.seller_id, s.username, s.version AS seller_version, s.buyer_count, s.buyer_rating_sum, ( SELECT coalesce(json_agg(json_build_object( 'id', p.id, 'title', p.title, 'description', p.description, 'price', p.price::text, 'delivery_days', p.delivery_days, 'features', p.features, 'revisions', p.revisions, 'extras', p.extras ) ORDER BY p.position), '[]') FROM packages AS p WHERE p.gig_id = g.id ) AS packages, ( SELECT coalesce(json_agg(json_build_object( 'id', i.id, 'key', i.key, 'thumbnail_key', i.thumbnail_key, 'is_primary', i.is_primary ) ORDER BY i.position), '[]') FROM images AS i WHERE i.gig_id = g.id ) AS images FROM gigs AS g JOIN sellers AS s ON s.id = g.seller_id WHERE g.id = $1 AND g.deleted_at IS NULL;
-- 12
COMMIT;

-- CreateGig: with a key (messages: 13, statements: 16)
-- 1
SELECT digest, attempt, answer, etag FROM idempotency_keys WHERE caller = $1 AND scope = $2 AND key = $3 AND (answer IS NULL OR created_at > app_now() - $4::interval);
-- 2
BEGIN;
INSERT INTO idempotency_keys AS known (caller, scope, key, digest, attempt, created_at) VALUES ($1, $2, $3, $4, $5, app_now()) ON CONFLICT (caller, scope, key) DO UPDATE SET digest = excluded.digest, attempt = excluded.attempt, answer = NULL, etag = '', created_at = excluded.created_at WHERE known.answer IS NOT NULL AND known.created_at <= app_now() - $6::interval RETURNING key;
-- 3
SAVEPOINT s;
-- 4
INSERT INTO "sellers" ("id", "username", "version", "buyer_count", "buyer_rating_sum") VALUES (%s, %s, %s, %s, %s) ON CONFLICT ("id") DO UPDATE SET "username" = EXCLUDED."username", "version" = ("sellers"."version" + %s) WHERE ((EXCLUDED."username" != %s) AND (EXCLUDED."username" != "sellers"."username")) RETURNING "sellers"."id";
-- 5
SELECT app_now() AS now;
-- 6
INSERT INTO "gigs" ("id", "seller_id", "title", "description", "category_id", "tags", "status", "version", "created_at", "updated_at", "rating_version", "review_count", "rating_sum", "rating", "thumbnail_key", "document") VALUES (%s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s) RETURNING "gigs"."id";
-- 7
SELECT coalesce(max(position), 0) AS last FROM packages WHERE gig_id = $1;
-- 8
INSERT INTO "packages" ("id", "gig_id", "position", "title", "description", "price", "delivery_days", "features", "revisions", "extras") VALUES (%s, %s, %s, %s, %s, %s, %s, %s, %s, %s) RETURNING "packages"."id";
-- 9
WITH rows AS MATERIALIZED ( SELECT p.id AS package_id, g.id AS gig_id, g.seller_id, g.status, g.category_id, coalesce(c.parent_id, c.id) AS section_id, p.price, p.delivery_days, g.rating, g.review_count, g.created_at, row_number() OVER (PARTITION BY g.id ORDER BY p.price, p.id) = 1 AS is_cheapest, b.word_bits FROM gigs AS g CROSS JOIN LATERAL ( SELECT coalesce( (SELECT word_bits FROM search_rows WHERE gig_id = g.id AND word_bits IS NOT NULL LIMIT 1), word_bits(tsvector_to_array(g.document)) ) AS word_bits OFFSET 0 ) AS b JOIN packages AS p ON p.gig_id = g.id JOIN categories AS c ON c.id = g.category_id WHERE g.deleted_at IS NULL AND g.id = $1), gone AS ( DELETE FROM search_rows WHERE gig_id = $1 AND package_id NOT IN (SELECT package_id FROM rows) ) INSERT INTO search_rows AS stored (package_id, gig_id, seller_id, status, category_id, section_id, price, delivery_days, rating, review_count, created_at, is_cheapest, word_bits) SELECT * FROM rows ON CONFLICT (package_id) DO UPDATE SET (status, category_id, section_id, price, delivery_days, rating, review_count, is_cheapest, word_bits) = (excluded.status, excluded.category_id, excluded.section_id, excluded.price, excluded.delivery_days, excluded.rating, excluded.review_count, excluded.is_cheapest, excluded.word_bits) WHERE (stored.status, stored.category_id, stored.section_id, stored.price, stored.delivery_days, stored.rating, stored.review_count, stored.is_cheapest, stored.word_bits) IS DISTINCT FROM (excluded.status, excluded.category_id, excluded.section_id, excluded.price, excluded.delivery_days, excluded.rating, excluded.review_count, excluded.is_cheapest, excluded.word_bits);
-- 10
SELECT word, gigs FROM words WHERE word = ANY ($1::text[]);
-- 11
INSERT INTO words (word, gigs) SELECT word, gigs FROM unnest($1::text[], $2::integer[]) AS counted (word, gigs) ORDER BY word ON CONFLICT (word) DO UPDATE SET gigs = greatest(0, words.gigs + excluded.gigs);
-- 12
SELECT g.id, g.title, g.description, g.category_id, g.tags, g.status, g.version, g.rating_version, g.rating, g.review_count, g.created_at, g.updated_at, g.seller_id, s.username, s.version AS seller_version, s.buyer_count, s.buyer_rating_sum, ( SELECT coalesce(json_agg(json_build_object( 'id', p.id, 'title', p.title, 'description', p.description, 'price', p.price::text, 'delivery_days', p.delivery_days, 'features', p.features, 'revisions', p.revisions, 'extras', p.extras ) ORDER BY p.position), '[]') FROM packages AS p WHERE p.gig_id = g.id ) AS packages, ( SELECT coalesce(json_agg(json_build_object( 'id', i.id, 'key', i.key, 'thumbnail_key', i.thumbnail_key, 'is_primary', i.is_primary ) ORDER BY i.position), '[]') FROM images AS i WHERE i.gig_id = g.id ) AS images FROM gigs AS g JOIN sellers AS s ON s.id = g.seller_id WHERE g.id = $1 AND g.deleted_at IS NULL;
-- 13
RELEASE SAVEPOINT s;
UPDATE idempotency_keys SET answer = $4, etag = $5 WHERE caller = $1 AND scope = $2 AND key = $3;
COMMIT;

-- CreateGig: with a known key (messages: 1, statements: 1)
-- 1
SELECT digest, attempt, answer, etag FROM idempotency_keys WHERE caller = $1 AND scope = $2 AND key = $3 AND (answer IS NULL OR created_at > app_now() - $4::interval);

-- DeleteGig (messages: 16, statements: 19)
-- 1
BEGIN;
SELECT id FROM gigs WHERE id = $1 FOR UPDATE;
-- 2
SELECT id, seller_id, status, version, array(SELECT p.id FROM packages AS p WHERE p.gig_id = gigs.id ORDER BY p.position) AS package_ids, array(SELECT i.id FROM images AS i WHERE i.gig_id = gigs.id ORDER BY i.position) AS image_ids FROM gigs WHERE id = $1 AND deleted_at IS NULL;
-- 3
INSERT INTO "sellers" ("id", "username", "version", "buyer_count", "buyer_rating_sum") VALUES (%s, %s, %s, %s, %s) ON CONFLICT ("id") DO UPDATE SET "username" = EXCLUDED."username", "version" = ("sellers"."version" + %s) WHERE ((EXCLUDED."username" != %s) AND (EXCLUDED."username" != "sellers"."username")) RETURNING "sellers"."id";
-- 4
SELECT id, key, thumbnail_key, is_primary FROM images WHERE gig_id = $1 ORDER BY position;
-- 5
DELETE FROM "images" WHERE ("images"."id" IN (%s, %s));
-- 6
INSERT INTO outbox (topic, key, version, payload, created_at, next_attempt_at) SELECT $1, $2, $3, $4::jsonb, now, now FROM app_now() AS now;
INSERT INTO outbox (topic, key, version, payload, created_at, next_attempt_at) SELECT $1, $2, $3, $4::jsonb, now, now FROM app_now() AS now;
SELECT app_now() AS now;
-- 7
UPDATE "gigs" SET "version" = ("gigs"."version" + %s), "updated_at" = %s, "thumbnail_key" = %s WHERE ("gigs"."id" = %s);
-- 8
WITH rows AS MATERIALIZED ( SELECT p.id AS package_id, g.id AS gig_id, g.seller_id, g.status, g.category_id, coalesce(c.parent_id, c.id) AS section_id, p.price, p.delivery_days, g.rating, g.review_count, g.created_at, row_number() OVER (PARTITION BY g.id ORDER BY p.price, p.id) = 1 AS is_cheapest, b.word_bits FROM gigs AS g CROSS JOIN LATERAL ( SELECT coalesce( (SELECT word_bits FROM search_rows WHERE gig_id = g.id AND word_bits IS NOT NULL LIMIT 1), word_bits(tsvector_to_array(g.document)) ) AS word_bits OFFSET 0 ) AS b JOIN packages AS p ON p.gig_id = g.id JOIN categories AS c ON c.id = g.category_id WHERE g.deleted_at IS NULL AND g.id = $1), gone AS ( DELETE FROM search_rows WHERE gig_id = $1 AND package_id NOT IN (SELECT package_id FROM rows) ) INSERT INTO search_rows AS stored (package_id, gig_id, seller_id, status, category_id, section_id, price, delivery_days, rating, review_count, created_at, is_cheapest, word_bits) SELECT * FROM rows ON CONFLICT (package_id) DO UPDATE SET (status, category_id, section_id, price, delivery_days, rating, review_count, is_cheapest, word_bits) = (excluded.status, excluded.category_id, excluded.section_id, excluded.price, excluded.delivery_days, excluded.rating, excluded.review_count, excluded.is_cheapest, excluded.word_bits) WHERE (stored.status, stored.category_id, stored.section_id, stored.price, stored.delivery_days, stored.rating, stored.review_count, stored.is_cheapest, stored.word_bits) IS DISTINCT FROM (excluded.status, excluded.category_id, excluded.section_id, excluded.price, excluded.delivery_days, excluded.rating, excluded.review_count, excluded.is_cheapest, excluded.word_bits);
-- 9
SELECT title, tags, description FROM gigs WHERE id = $1;
-- 10
SELECT app_now() AS now;
-- 11
SELECT app_now() AS now;
-- 12
UPDATE "gigs" SET "version" = ("gigs"."version" + %s), "updated_at" = %s, "deleted_at" = %s WHERE ("gigs"."id" = %s);
-- 13
WITH rows AS MATERIALIZED ( SELECT p.id AS package_id, g.id AS gig_id, g.seller_id, g.status, g.category_id, coalesce(c.parent_id, c.id) AS section_id, p.price, p.delivery_days, g.rating, g.review_count, g.created_at, row_number() OVER (PARTITION BY g.id ORDER BY p.price, p.id) = 1 AS is_cheapest, b.word_bits FROM gigs AS g CROSS JOIN LATERAL ( SELECT coalesce( (SELECT word_bits FROM search_rows WHERE gig_id = g.id AND word_bits IS NOT NULL LIMIT 1), word_bits(tsvector_to_array(g.document)) ) AS word_bits OFFSET 0 ) AS b JOIN packages AS p ON p.gig_id = g.id JOIN categories AS c ON c.id = g.category_id WHERE g.deleted_at IS NULL AND g.id = $1), gone AS ( DELETE FROM search_rows WHERE gig_id = $1 AND package_id NOT IN (SELECT package_id FROM rows) ) INSERT INTO search_rows AS stored (package_id, gig_id, seller_id, status, category_id, section_id, price, delivery_days, rating, review_count, created_at, is_cheapest, word_bits) SELECT * FROM rows ON CONFLICT (package_id) DO UPDATE SET (status, category_id, section_id, price, delivery_days, rating, review_count, is_cheapest, word_bits) = (excluded.status, excluded.category_id, excluded.section_id, excluded.price, excluded.delivery_days, excluded.rating, excluded.review_count, excluded.is_cheapest, excluded.word_bits) WHERE (stored.status, stored.category_id, stored.section_id, stored.price, stored.delivery_days, stored.rating, stored.review_count, stored.is_cheapest, stored.word_bits) IS DISTINCT FROM (excluded.status, excluded.category_id, excluded.section_id, excluded.price, excluded.delivery_days, excluded.rating, excluded.review_count, excluded.is_cheapest, excluded.word_bits);
-- 14
SELECT word, gigs FROM words WHERE word = ANY ($1::text[]);
-- 15
INSERT INTO words (word, gigs) SELECT word, gigs FROM unnest($1::text[], $2::integer[]) AS counted (word, gigs) ORDER BY word ON CONFLICT (word) DO UPDATE SET gigs = greatest(0, words.gigs + excluded.gigs);
-- 16
COMMIT;

-- DeleteImage (messages: 13, statements: 14)
-- 1
BEGIN;
SELECT id FROM gigs WHERE id = $1 FOR UPDATE;
-- 2
SELECT id, seller_id, status, version, array(SELECT p.id FROM packages AS p WHERE p.gig_id = gigs.id ORDER BY p.position) AS package_ids, array(SELECT i.id FROM images AS i WHERE i.gig_id = gigs.id ORDER BY i.position) AS image_ids FROM gigs WHERE id = $1 AND deleted_at IS NULL;
-- 3
INSERT INTO "sellers" ("id", "username", "version", "buyer_count", "buyer_rating_sum") VALUES (%s, %s, %s, %s, %s) ON CONFLICT ("id") DO UPDATE SET "username" = EXCLUDED."username", "version" = ("sellers"."version" + %s) WHERE ((EXCLUDED."username" != %s) AND (EXCLUDED."username" != "sellers"."username")) RETURNING "sellers"."id";
-- 4
SELECT id, key, thumbnail_key, is_primary FROM images WHERE gig_id = $1 ORDER BY position;
-- 5
DELETE FROM "images" WHERE ("images"."id" IN (%s));
-- 6
INSERT INTO outbox (topic, key, version, payload, created_at, next_attempt_at) SELECT $1, $2, $3, $4::jsonb, now, now FROM app_now() AS now;
-- 7
UPDATE "images" SET "is_primary" = %s WHERE ((("images"."gig_id" = %s) AND "images"."is_primary") AND ("images"."id" != %s));
-- 8
UPDATE "images" SET "is_primary" = %s WHERE (("images"."id" = %s) AND NOT "images"."is_primary");
-- 9
SELECT app_now() AS now;
-- 10
UPDATE "gigs" SET "version" = ("gigs"."version" + %s), "updated_at" = %s, "thumbnail_key" = %s WHERE ("gigs"."id" = %s);
-- 11
WITH rows AS MATERIALIZED ( SELECT p.id AS package_id, g.id AS gig_id, g.seller_id, g.status, g.category_id, coalesce(c.parent_id, c.id) AS section_id, p.price, p.delivery_days, g.rating, g.review_count, g.created_at, row_number() OVER (PARTITION BY g.id ORDER BY p.price, p.id) = 1 AS is_cheapest, b.word_bits FROM gigs AS g CROSS JOIN LATERAL ( SELECT coalesce( (SELECT word_bits FROM search_rows WHERE gig_id = g.id AND word_bits IS NOT NULL LIMIT 1), word_bits(tsvector_to_array(g.document)) ) AS word_bits OFFSET 0 ) AS b JOIN packages AS p ON p.gig_id = g.id JOIN categories AS c ON c.id = g.category_id WHERE g.deleted_at IS NULL AND g.id = $1), gone AS ( DELETE FROM search_rows WHERE gig_id = $1 AND package_id NOT IN (SELECT package_id FROM rows) ) INSERT INTO search_rows AS stored (package_id, gig_id, seller_id, status, category_id, section_id, price, delivery_days, rating, review_count, created_at, is_cheapest, word_bits) SELECT * FROM rows ON CONFLICT (package_id) DO UPDATE SET (status, category_id, section_id, price, delivery_days, rating, review_count, is_cheapest, word_bits) = (excluded.status, excluded.category_id, excluded.section_id, excluded.price, excluded.delivery_days, excluded.rating, excluded.review_count, excluded.is_cheapest, excluded.word_bits) WHERE (stored.status, stored.category_id, stored.section_id, stored.price, stored.delivery_days, stored.rating, stored.review_count, stored.is_cheapest, stored.word_bits) IS DISTINCT FROM (excluded.status, excluded.category_id, excluded.section_id, excluded.price, excluded.delivery_days, excluded.rating, excluded.review_count, excluded.is_cheapest, excluded.word_bits);
-- 12
SELECT g.id, g.title, g.description, g.category_id, g.tags, g.status, g.version, g.rating_version, g.rating, g.review_count, g.created_at, g.updated_at, g.seller_id, s.username, s.version AS seller_version, s.buyer_count, s.buyer_rating_sum, ( SELECT coalesce(json_agg(json_build_object( 'id', p.id, 'title', p.title, 'description', p.description, 'price', p.price::text, 'delivery_days', p.delivery_days, 'features', p.features, 'revisions', p.revisions, 'extras', p.extras ) ORDER BY p.position), '[]') FROM packages AS p WHERE p.gig_id = g.id ) AS packages, ( SELECT coalesce(json_agg(json_build_object( 'id', i.id, 'key', i.key, 'thumbnail_key', i.thumbnail_key, 'is_primary', i.is_primary ) ORDER BY i.position), '[]') FROM images AS i WHERE i.gig_id = g.id ) AS images FROM gigs AS g JOIN sellers AS s ON s.id = g.seller_id WHERE g.id = $1 AND g.deleted_at IS NULL;
-- 13
COMMIT;

-- DeletePackage (messages: 9, statements: 10)
-- 1
BEGIN;
SELECT id FROM gigs WHERE id = $1 FOR UPDATE;
-- 2
SELECT id, seller_id, status, version, array(SELECT p.id FROM packages AS p WHERE p.gig_id = gigs.id ORDER BY p.position) AS package_ids, array(SELECT i.id FROM images AS i WHERE i.gig_id = gigs.id ORDER BY i.position) AS image_ids FROM gigs WHERE id = $1 AND deleted_at IS NULL;
-- 3
INSERT INTO "sellers" ("id", "username", "version", "buyer_count", "buyer_rating_sum") VALUES (%s, %s, %s, %s, %s) ON CONFLICT ("id") DO UPDATE SET "username" = EXCLUDED."username", "version" = ("sellers"."version" + %s) WHERE ((EXCLUDED."username" != %s) AND (EXCLUDED."username" != "sellers"."username")) RETURNING "sellers"."id";
-- 4
DELETE FROM "packages" WHERE ("packages"."id" = %s);
-- 5
SELECT app_now() AS now;
-- 6
UPDATE "gigs" SET "version" = ("gigs"."version" + %s), "updated_at" = %s WHERE ("gigs"."id" = %s);
-- 7
WITH rows AS MATERIALIZED ( SELECT p.id AS package_id, g.id AS gig_id, g.seller_id, g.status, g.category_id, coalesce(c.parent_id, c.id) AS section_id, p.price, p.delivery_days, g.rating, g.review_count, g.created_at, row_number() OVER (PARTITION BY g.id ORDER BY p.price, p.id) = 1 AS is_cheapest, b.word_bits FROM gigs AS g CROSS JOIN LATERAL ( SELECT coalesce( (SELECT word_bits FROM search_rows WHERE gig_id = g.id AND word_bits IS NOT NULL LIMIT 1), word_bits(tsvector_to_array(g.document)) ) AS word_bits OFFSET 0 ) AS b JOIN packages AS p ON p.gig_id = g.id JOIN categories AS c ON c.id = g.category_id WHERE g.deleted_at IS NULL AND g.id = $1), gone AS ( DELETE FROM search_rows WHERE gig_id = $1 AND package_id NOT IN (SELECT package_id FROM rows) ) INSERT INTO search_rows AS stored (package_id, gig_id, seller_id, status, category_id, section_id, price, delivery_days, rating, review_count, created_at, is_cheapest, word_bits) SELECT * FROM rows ON CONFLICT (package_id) DO UPDATE SET (status, category_id, section_id, price, delivery_days, rating, review_count, is_cheapest, word_bits) = (excluded.status, excluded.category_id, excluded.section_id, excluded.price, excluded.delivery_days, excluded.rating, excluded.review_count, excluded.is_cheapest, excluded.word_bits) WHERE (stored.status, stored.category_id, stored.section_id, stored.price, stored.delivery_days, stored.rating, stored.review_count, stored.is_cheapest, stored.word_bits) IS DISTINCT FROM (excluded.status, excluded.category_id, excluded.section_id, excluded.price, excluded.delivery_days, excluded.rating, excluded.review_count, excluded.is_cheapest, excluded.word_bits);
-- 8
SELECT g.id, g.title, g.description, g.category_id, g.tags, g.status, g.version, g.rating_version, g.rating, g.review_count, g.created_at, g.updated_at, g.seller_id, s.username, s.version AS seller_version, s.buyer_count, s.buyer_rating_sum, ( SELECT coalesce(json_agg(json_build_object( 'id', p.id, 'title', p.title, 'description', p.description, 'price', p.price::text, 'delivery_days', p.delivery_days, 'features', p.features, 'revisions', p.revisions, 'extras', p.extras ) ORDER BY p.position), '[]') FROM packages AS p WHERE p.gig_id = g.id ) AS packages, ( SELECT coalesce(json_agg(json_build_object( 'id', i.id, 'key', i.key, 'thumbnail_key', i.thumbnail_key, 'is_primary', i.is_primary ) ORDER BY i.position), '[]') FROM images AS i WHERE i.gig_id = g.id ) AS images FROM gigs AS g JOIN sellers AS s ON s.id = g.seller_id WHERE g.id = $1 AND g.deleted_at IS NULL;
-- 9
COMMIT;

-- DescribeGig (messages: 1, statements: 1)
-- 1
SELECT g.id, g.seller_id, g.status, s.username, g.title FROM gigs AS g JOIN sellers AS s ON s.id = g.seller_id WHERE g.id = $1 AND g.deleted_at IS NULL;

-- FindMissingReviews (messages: 1, statements: 1)
-- 1
SELECT sent.review_id FROM unnest($1::uuid[], $2::uuid[], $3::uuid[], $4::timestamptz[]) WITH ORDINALITY AS sent(gig_id, review_id, buyer_id, created_at, place) LEFT JOIN gigs ON gigs.id = sent.gig_id LEFT JOIN seller_reviews AS stored ON stored.seller_id = gigs.seller_id AND stored.buyer_id = sent.buyer_id WHERE stored.review_id IS NULL OR (stored.created_at, stored.review_id) < (sent.created_at, sent.review_id) ORDER BY place;

-- GetGig (messages: 1, statements: 1)
-- 1
SELECT g.id::text, g.title, g.description, g.category_id::text, to_json(g.tags)::text, g.status, g.version, g.rating_version, g.rating::float8, g.review_count, floor(extract(epoch FROM g.created_at))::bigint, floor(extract(epoch FROM g.updated_at))::bigint, g.seller_id::text, s.username, s.version, s.buyer_count, s.buyer_rating_sum, ( SELECT json_agg(json_build_array( p.id, p.title, p.description, p.price::float8, p.delivery_days, p.features, p.revisions, p.extras ) ORDER BY p.position)::text FROM packages AS p WHERE p.gig_id = g.id ), ( SELECT json_agg(json_build_array(i.id, i.key, i.thumbnail_key, i.is_primary) ORDER BY i.position)::text FROM images AS i WHERE i.gig_id = g.id ), g.xmin, s.xmin FROM gigs AS g JOIN sellers AS s ON s.id = g.seller_id WHERE g.id = $1::uuid AND g.deleted_at IS NULL;

-- GetGig: a page that has changed (messages: 2, statements: 2)
-- 1
SELECT g.xmin, s.xmin FROM gigs AS g JOIN sellers AS s ON s.id = g.seller_id WHERE g.id = $1::uuid AND g.deleted_at IS NULL;
-- 2
SELECT g.id::text, g.title, g.description, g.category_id::text, to_json(g.tags)::text, g.status, g.version, g.rating_version, g.rating::float8, g.review_count, floor(extract(epoch FROM g.created_at))::bigint, floor(extract(epoch FROM g.updated_at))::bigint, g.seller_id::text, s.username, s.version, s.buyer_count, s.buyer_rating_sum, ( SELECT json_agg(json_build_array( p.id, p.title, p.description, p.price::float8, p.delivery_days, p.features, p.revisions, p.extras ) ORDER BY p.position)::text FROM packages AS p WHERE p.gig_id = g.id ), ( SELECT json_agg(json_build_array(i.id, i.key, i.thumbnail_key, i.is_primary) ORDER BY i.position)::text FROM images AS i WHERE i.gig_id = g.id ), g.xmin, s.xmin FROM gigs AS g JOIN sellers AS s ON s.id = g.seller_id WHERE g.id = $1::uuid AND g.deleted_at IS NULL;

-- GetGig: a ready page (messages: 1, statements: 1)
-- 1
SELECT g.xmin, s.xmin FROM gigs AS g JOIN sellers AS s ON s.id = g.seller_id WHERE g.id = $1::uuid AND g.deleted_at IS NULL;

-- GetGig: a ready page, the seller (messages: 1, statements: 1)
-- 1
SELECT g.xmin, s.xmin FROM gigs AS g JOIN sellers AS s ON s.id = g.seller_id WHERE g.id = $1::uuid AND g.deleted_at IS NULL;

-- GetPackageTerms (messages: 1, statements: 1)
-- 1
SELECT p.id::text, p.title, g.id::text, g.title, g.seller_id::text, p.price::float8, p.delivery_days, p.revisions, p.extras FROM packages AS p JOIN gigs AS g ON g.id = p.gig_id WHERE p.id = $1 AND g.status = 'ACTIVE' AND g.deleted_at IS NULL;

-- ListCategories (messages: 1, statements: 1)
-- 1
SELECT id, slug, name, parent_id FROM categories ORDER BY position;

-- ListPackages (messages: 1, statements: 1)
-- 1
SELECT g.id, g.title, g.description, g.category_id, g.tags, g.status, g.version, g.rating_version, g.rating, g.review_count, g.created_at, g.updated_at, g.seller_id, s.username, s.version AS seller_version, s.buyer_count, s.buyer_rating_sum, ( SELECT coalesce(json_agg(json_build_object( 'id', p.id, 'title', p.title, 'description', p.description, 'price', p.price::text, 'delivery_days', p.delivery_days, 'features', p.features, 'revisions', p.revisions, 'extras', p.extras ) ORDER BY p.position), '[]') FROM packages AS p WHERE p.gig_id = g.id ) AS packages, ( SELECT coalesce(json_agg(json_build_object( 'id', i.id, 'key', i.key, 'thumbnail_key', i.thumbnail_key, 'is_primary', i.is_primary ) ORDER BY i.position), '[]') FROM images AS i WHERE i.gig_id = g.id ) AS images FROM gigs AS g JOIN sellers AS s ON s.id = g.seller_id WHERE g.id = $1 AND g.deleted_at IS NULL;

-- ListRatings (messages: 1, statements: 1)
-- 1
SELECT id, rating_version, review_count, rating_sum, rating, NOT EXISTS ( SELECT 1 FROM search_rows WHERE gig_id = page.id AND (search_rows.rating, search_rows.review_count) <> (page.rating, page.review_count) ) AS is_searched FROM (SELECT * FROM gigs WHERE id > $1 AND id <= $2 ORDER BY id LIMIT $3) AS page ORDER BY id;

-- SearchGigs (messages: 1, statements: 1)
-- 1
SELECT page.gig_id::text, g.title, page.price::float8, page.rating::float8, page.review_count, page.seller_id::text, u.username, u.buyer_count, u.buyer_rating_sum, g.thumbnail_key, (SELECT count(*) FROM (SELECT FROM search_rows AS s WHERE s.status = 'ACTIVE' AND s.is_cheapest LIMIT 1001) AS matching) AS total FROM ( SELECT gig_id, seller_id, price, rating, review_count, created_at FROM search_rows AS s WHERE s.status = 'ACTIVE' AND s.is_cheapest ORDER BY rating DESC, review_count DESC, gig_id DESC LIMIT 101 ) AS page CROSS JOIN LATERAL ( SELECT title, thumbnail_key FROM gigs WHERE gigs.id = page.gig_id LIMIT 1 ) AS g CROSS JOIN LATERAL ( SELECT username, buyer_count, buyer_rating_sum FROM sellers WHERE sellers.id = page.seller_id LIMIT 1 ) AS u ORDER BY page.rating DESC, page.review_count DESC, page.gig_id DESC LIMIT $1::int;

-- SearchGigs: a category (messages: 1, statements: 1)
-- 1
SELECT page.gig_id::text, g.title, page.price::float8, page.rating::float8, page.review_count, page.seller_id::text, u.username, u.buyer_count, u.buyer_rating_sum, g.thumbnail_key, (SELECT count(*) FROM (SELECT FROM search_rows AS s WHERE s.status = 'ACTIVE' AND s.category_id = $1::uuid AND s.is_cheapest LIMIT 1001) AS matching) AS total FROM ( SELECT gig_id, seller_id, price, rating, review_count, created_at FROM search_rows AS s WHERE s.status = 'ACTIVE' AND s.category_id = $1::uuid AND s.is_cheapest ORDER BY rating DESC, review_count DESC, gig_id DESC LIMIT 101 ) AS page CROSS JOIN LATERAL ( SELECT title, thumbnail_key FROM gigs WHERE gigs.id = page.gig_id LIMIT 1 ) AS g CROSS JOIN LATERAL ( SELECT username, buyer_count, buyer_rating_sum FROM sellers WHERE sellers.id = page.seller_id LIMIT 1 ) AS u ORDER BY page.rating DESC, page.review_count DESC, page.gig_id DESC LIMIT $2::int;

-- SearchGigs: a seller (messages: 4, statements: 4)
-- 1
BEGIN;
-- 2
EXPLAIN (FORMAT JSON) SELECT FROM search_rows AS s WHERE s.status = %(status)s AND s.seller_id = %(seller)s::uuid AND s.is_cheapest;
-- 3
WITH found AS MATERIALIZED ( SELECT s.gig_id, s.seller_id, s.price, s.rating, s.review_count, s.created_at FROM search_rows AS s WHERE s.status = %(status)s AND s.seller_id = %(seller)s::uuid AND s.is_cheapest LIMIT 5001 ), hits AS MATERIALIZED (SELECT * FROM found) SELECT page.gig_id::text, page.title, page.price::float8, page.rating::float8, page.review_count, page.seller_id::text, page.username, page.buyer_count, page.buyer_rating_sum, page.thumbnail_key, counts.found, counts.total FROM (SELECT (SELECT count(*) FROM found) AS found, (SELECT count(*) FROM hits) AS total) AS counts LEFT JOIN ( SELECT page.*, g.title, g.thumbnail_key, u.* FROM (SELECT * FROM hits ORDER BY rating DESC, review_count DESC, gig_id DESC LIMIT %(limit)s::int) AS page CROSS JOIN LATERAL ( SELECT title, thumbnail_key FROM gigs WHERE gigs.id = page.gig_id LIMIT 1 ) AS g CROSS JOIN LATERAL ( SELECT username, buyer_count, buyer_rating_sum FROM sellers WHERE sellers.id = page.seller_id LIMIT 1 ) AS u ) AS page ON true ORDER BY page.rating DESC, page.review_count DESC, page.gig_id DESC;
-- 4
COMMIT;

-- SearchGigs: prices (messages: 4, statements: 4)
-- 1
BEGIN;
-- 2
EXPLAIN (FORMAT JSON) SELECT s.gig_id FROM search_rows AS s WHERE s.status = 'ACTIVE' AND s.price BETWEEN %(min_price)s::numeric AND %(max_price)s::numeric AND s.delivery_days <= %(max_days)s::int GROUP BY s.gig_id;
-- 3
WITH found AS MATERIALIZED ( SELECT s.gig_id, s.seller_id, s.price, s.rating, s.review_count, s.created_at FROM search_rows AS s WHERE s.status = 'ACTIVE' AND s.price BETWEEN %(min_price)s::numeric AND %(max_price)s::numeric AND s.delivery_days <= %(max_days)s::int LIMIT 10011 ), hits AS MATERIALIZED (SELECT DISTINCT ON (gig_id) * FROM found ORDER BY gig_id, price) SELECT page.gig_id::text, page.title, page.price::float8, page.rating::float8, page.review_count, page.seller_id::text, page.username, page.buyer_count, page.buyer_rating_sum, page.thumbnail_key, counts.found, counts.total FROM (SELECT (SELECT count(*) FROM found) AS found, (SELECT count(*) FROM hits) AS total) AS counts LEFT JOIN ( SELECT page.*, g.title, g.thumbnail_key, u.* FROM (SELECT * FROM hits ORDER BY rating DESC, review_count DESC, gig_id DESC LIMIT %(limit)s::int) AS page CROSS JOIN LATERAL ( SELECT title, thumbnail_key FROM gigs WHERE gigs.id = page.gig_id LIMIT 1 ) AS g CROSS JOIN LATERAL ( SELECT username, buyer_count, buyer_rating_sum FROM sellers WHERE sellers.id = page.seller_id LIMIT 1 ) AS u ) AS page ON true ORDER BY page.rating DESC, page.review_count DESC, page.gig_id DESC;
-- 4
COMMIT;

-- SearchGigs: the seller's own (messages: 3, statements: 3)
-- 1
BEGIN;
-- 2
WITH found AS MATERIALIZED ( SELECT s.gig_id, s.seller_id, s.price, s.rating, s.review_count, s.created_at FROM search_rows AS s WHERE s.status = %(status)s AND s.seller_id = %(seller)s::uuid AND s.is_cheapest LIMIT 5001 ), hits AS MATERIALIZED (SELECT * FROM found) SELECT page.gig_id::text, page.title, page.price::float8, page.rating::float8, page.review_count, page.seller_id::text, page.username, page.buyer_count, page.buyer_rating_sum, page.thumbnail_key, counts.found, counts.total FROM (SELECT (SELECT count(*) FROM found) AS found, (SELECT count(*) FROM hits) AS total) AS counts LEFT JOIN ( SELECT page.*, g.title, g.thumbnail_key, u.* FROM (SELECT * FROM hits ORDER BY rating DESC, review_count DESC, gig_id DESC LIMIT %(limit)s::int) AS page CROSS JOIN LATERAL ( SELECT title, thumbnail_key FROM gigs WHERE gigs.id = page.gig_id LIMIT 1 ) AS g CROSS JOIN LATERAL ( SELECT username, buyer_count, buyer_rating_sum FROM sellers WHERE sellers.id = page.seller_id LIMIT 1 ) AS u ) AS page ON true ORDER BY page.rating DESC, page.review_count DESC, page.gig_id DESC;
-- 3
COMMIT;

-- SearchGigs: words (messages: 10, statements: 10)
-- 1
SELECT EXISTS (SELECT FROM gigs_to_analyse) AS is_outdated;
-- 2
SELECT word, gigs FROM words WHERE word = ANY ($1::text[]);
-- 3
BEGIN;
-- 4
SELECT (SELECT COUNT(*) FROM (SELECT 1 FROM "gigs" AS "t1" WHERE ((("t1"."document" @@ CAST(%s AS tsquery)) AND ("t1"."status" = %s)) AND ("t1"."deleted_at" IS NULL)) LIMIT (SELECT 11)) AS "matching");
-- 5
COMMIT;
-- 6
SELECT word, gigs FROM words WHERE word_deletions(word) && $1::text[] ORDER BY gigs DESC, word LIMIT 200;
-- 7
BEGIN;
-- 8
SELECT count(*) FROM ( SELECT FROM gigs AS g WHERE get_byte(uuid_send(g.id), 15) & 15 = 0 AND g.status = 'ACTIVE' AND g.deleted_at IS NULL AND g.document @@ %(words)s::tsquery LIMIT 280 ) AS sampled;
-- 9
WITH found AS MATERIALIZED ( SELECT g.id AS gig_id, g.seller_id, g.rating, g.review_count, g.created_at, (ts_rank(g.document, %(any_word)s::tsquery) * 10000)::int + (g.document @@ %(own)s::tsquery)::int * 100000 AS rank FROM gigs AS g WHERE g.status = 'ACTIVE' AND g.deleted_at IS NULL AND g.document @@ %(words)s::tsquery LIMIT 5001 ), hits AS MATERIALIZED (SELECT * FROM found) SELECT page.gig_id::text, page.title, page.price::float8, page.rating::float8, page.review_count, page.seller_id::text, page.username, page.buyer_count, page.buyer_rating_sum, page.thumbnail_key, page.rank, counts.found, counts.total FROM (SELECT (SELECT count(*) FROM found) AS found, (SELECT count(*) FROM hits) AS total) AS counts LEFT JOIN ( SELECT page.*, g.title, g.thumbnail_key, u.*, p.price FROM (SELECT * FROM hits ORDER BY rank DESC, rating DESC, review_count DESC, gig_id DESC LIMIT %(limit)s::int) AS page CROSS JOIN LATERAL ( SELECT title, thumbnail_key FROM gigs WHERE gigs.id = page.gig_id LIMIT 1 ) AS g CROSS JOIN LATERAL ( SELECT username, buyer_count, buyer_rating_sum FROM sellers WHERE sellers.id = page.seller_id LIMIT 1 ) AS u CROSS JOIN LATERAL ( SELECT price FROM search_rows AS s WHERE s.gig_id = page.gig_id AND s.is_cheapest LIMIT 1 ) AS p ) AS page ON true ORDER BY page.rank DESC, page.rating DESC, page.review_count DESC, page.gig_id DESC;
-- 10
COMMIT;

-- SetGigStatus (messages: 8, statements: 9)
-- 1
BEGIN;
SELECT id FROM gigs WHERE id = $1 FOR UPDATE;
-- 2
SELECT id, seller_id, status, version, array(SELECT p.id FROM packages AS p WHERE p.gig_id = gigs.id ORDER BY p.position) AS package_ids, array(SELECT i.id FROM images AS i WHERE i.gig_id = gigs.id ORDER BY i.position) AS image_ids FROM gigs WHERE id = $1 AND deleted_at IS NULL;
-- 3
INSERT INTO "sellers" ("id", "username", "version", "buyer_count", "buyer_rating_sum") VALUES (%s, %s, %s, %s, %s) ON CONFLICT ("id") DO UPDATE SET "username" = EXCLUDED."username", "version" = ("sellers"."version" + %s) WHERE ((EXCLUDED."username" != %s) AND (EXCLUDED."username" != "sellers"."username")) RETURNING "sellers"."id";
-- 4
SELECT app_now() AS now;
-- 5
UPDATE "gigs" SET "status" = %s, "version" = ("gigs"."version" + %s), "updated_at" = %s WHERE ("gigs"."id" = %s);
-- 6
WITH rows AS MATERIALIZED ( SELECT p.id AS package_id, g.id AS gig_id, g.seller_id, g.status, g.category_id, coalesce(c.parent_id, c.id) AS section_id, p.price, p.delivery_days, g.rating, g.review_count, g.created_at, row_number() OVER (PARTITION BY g.id ORDER BY p.price, p.id) = 1 AS is_cheapest, b.word_bits FROM gigs AS g CROSS JOIN LATERAL ( SELECT coalesce( (SELECT word_bits FROM search_rows WHERE gig_id = g.id AND word_bits IS NOT NULL LIMIT 1), word_bits(tsvector_to_array(g.document)) ) AS word_bits OFFSET 0 ) AS b JOIN packages AS p ON p.gig_id = g.id JOIN categories AS c ON c.id = g.category_id WHERE g.deleted_at IS NULL AND g.id = $1), gone AS ( DELETE FROM search_rows WHERE gig_id = $1 AND package_id NOT IN (SELECT package_id FROM rows) ) INSERT INTO search_rows AS stored (package_id, gig_id, seller_id, status, category_id, section_id, price, delivery_days, rating, review_count, created_at, is_cheapest, word_bits) SELECT * FROM rows ON CONFLICT (package_id) DO UPDATE SET (status, category_id, section_id, price, delivery_days, rating, review_count, is_cheapest, word_bits) = (excluded.status, excluded.category_id, excluded.section_id, excluded.price, excluded.delivery_days, excluded.rating, excluded.review_count, excluded.is_cheapest, excluded.word_bits) WHERE (stored.status, stored.category_id, stored.section_id, stored.price, stored.delivery_days, stored.rating, stored.review_count, stored.is_cheapest, stored.word_bits) IS DISTINCT FROM (excluded.status, excluded.category_id, excluded.section_id, excluded.price, excluded.delivery_days, excluded.rating, excluded.review_count, excluded.is_cheapest, excluded.word_bits);
-- 7
SELECT g.id, g.title, g.description, g.category_id, g.tags, g.status, g.version, g.rating_version, g.rating, g.review_count, g.created_at, g.updated_at, g.seller_id, s.username, s.version AS seller_version, s.buyer_count, s.buyer_rating_sum, ( SELECT coalesce(json_agg(json_build_object( 'id', p.id, 'title', p.title, 'description', p.description, 'price', p.price::text, 'delivery_days', p.delivery_days, 'features', p.features, 'revisions', p.revisions, 'extras', p.extras ) ORDER BY p.position), '[]') FROM packages AS p WHERE p.gig_id = g.id ) AS packages, ( SELECT coalesce(json_agg(json_build_object( 'id', i.id, 'key', i.key, 'thumbnail_key', i.thumbnail_key, 'is_primary', i.is_primary ) ORDER BY i.position), '[]') FROM images AS i WHERE i.gig_id = g.id ) AS images FROM gigs AS g JOIN sellers AS s ON s.id = g.seller_id WHERE g.id = $1 AND g.deleted_at IS NULL;
-- 8
COMMIT;

-- UpdateGig (messages: 11, statements: 12)
-- 1
BEGIN;
SELECT id FROM gigs WHERE id = $1 FOR UPDATE;
-- 2
SELECT id, seller_id, status, version, array(SELECT p.id FROM packages AS p WHERE p.gig_id = gigs.id ORDER BY p.position) AS package_ids, array(SELECT i.id FROM images AS i WHERE i.gig_id = gigs.id ORDER BY i.position) AS image_ids FROM gigs WHERE id = $1 AND deleted_at IS NULL;
-- 3
INSERT INTO "sellers" ("id", "username", "version", "buyer_count", "buyer_rating_sum") VALUES (%s, %s, %s, %s, %s) ON CONFLICT ("id") DO UPDATE SET "username" = EXCLUDED."username", "version" = ("sellers"."version" + %s) WHERE ((EXCLUDED."username" != %s) AND (EXCLUDED."username" != "sellers"."username")) RETURNING "sellers"."id";
-- 4
SELECT title, tags, description FROM gigs WHERE id = $1;
-- 5
SELECT app_now() AS now;
-- 6
UPDATE "gigs" SET "title" = %s, "description" = %s, "category_id" = %s, "tags" = %s, "version" = ("gigs"."version" + %s), "updated_at" = %s, "document" = %s WHERE ("gigs"."id" = %s);
-- 7
WITH rows AS MATERIALIZED ( SELECT p.id AS package_id, g.id AS gig_id, g.seller_id, g.status, g.category_id, coalesce(c.parent_id, c.id) AS section_id, p.price, p.delivery_days, g.rating, g.review_count, g.created_at, row_number() OVER (PARTITION BY g.id ORDER BY p.price, p.id) = 1 AS is_cheapest, b.word_bits FROM gigs AS g CROSS JOIN LATERAL ( SELECT coalesce( (SELECT word_bits FROM search_rows WHERE gig_id = g.id AND word_bits IS NOT NULL LIMIT 1), word_bits(tsvector_to_array(g.document)) ) AS word_bits OFFSET 0 ) AS b JOIN packages AS p ON p.gig_id = g.id JOIN categories AS c ON c.id = g.category_id WHERE g.deleted_at IS NULL AND g.id = $1), gone AS ( DELETE FROM search_rows WHERE gig_id = $1 AND package_id NOT IN (SELECT package_id FROM rows) ) INSERT INTO search_rows AS stored (package_id, gig_id, seller_id, status, category_id, section_id, price, delivery_days, rating, review_count, created_at, is_cheapest, word_bits) SELECT * FROM rows ON CONFLICT (package_id) DO UPDATE SET (status, category_id, section_id, price, delivery_days, rating, review_count, is_cheapest, word_bits) = (excluded.status, excluded.category_id, excluded.section_id, excluded.price, excluded.delivery_days, excluded.rating, excluded.review_count, excluded.is_cheapest, excluded.word_bits) WHERE (stored.status, stored.category_id, stored.section_id, stored.price, stored.delivery_days, stored.rating, stored.review_count, stored.is_cheapest, stored.word_bits) IS DISTINCT FROM (excluded.status, excluded.category_id, excluded.section_id, excluded.price, excluded.delivery_days, excluded.rating, excluded.review_count, excluded.is_cheapest, excluded.word_bits);
-- 8
SELECT word, gigs FROM words WHERE word = ANY ($1::text[]);
-- 9
INSERT INTO words (word, gigs) SELECT word, gigs FROM unnest($1::text[], $2::integer[]) AS counted (word, gigs) ORDER BY word ON CONFLICT (word) DO UPDATE SET gigs = greatest(0, words.gigs + excluded.gigs);
-- 10
SELECT g.id, g.title, g.description, g.category_id, g.tags, g.status, g.version, g.rating_version, g.rating, g.review_count, g.created_at, g.updated_at, g.seller_id, s.username, s.version AS seller_version, s.buyer_count, s.buyer_rating_sum, ( SELECT coalesce(json_agg(json_build_object( 'id', p.id, 'title', p.title, 'description', p.description, 'price', p.price::text, 'delivery_days', p.delivery_days, 'features', p.features, 'revisions', p.revisions, 'extras', p.extras ) ORDER BY p.position), '[]') FROM packages AS p WHERE p.gig_id = g.id ) AS packages, ( SELECT coalesce(json_agg(json_build_object( 'id', i.id, 'key', i.key, 'thumbnail_key', i.thumbnail_key, 'is_primary', i.is_primary ) ORDER BY i.position), '[]') FROM images AS i WHERE i.gig_id = g.id ) AS images FROM gigs AS g JOIN sellers AS s ON s.id = g.seller_id WHERE g.id = $1 AND g.deleted_at IS NULL;
-- 11
COMMIT;

-- UpdateImage (messages: 11, statements: 12)
-- 1
BEGIN;
SELECT id FROM gigs WHERE id = $1 FOR UPDATE;
-- 2
SELECT id, seller_id, status, version, array(SELECT p.id FROM packages AS p WHERE p.gig_id = gigs.id ORDER BY p.position) AS package_ids, array(SELECT i.id FROM images AS i WHERE i.gig_id = gigs.id ORDER BY i.position) AS image_ids FROM gigs WHERE id = $1 AND deleted_at IS NULL;
-- 3
INSERT INTO "sellers" ("id", "username", "version", "buyer_count", "buyer_rating_sum") VALUES (%s, %s, %s, %s, %s) ON CONFLICT ("id") DO UPDATE SET "username" = EXCLUDED."username", "version" = ("sellers"."version" + %s) WHERE ((EXCLUDED."username" != %s) AND (EXCLUDED."username" != "sellers"."username")) RETURNING "sellers"."id";
-- 4
SELECT id, key, thumbnail_key, is_primary FROM images WHERE gig_id = $1 ORDER BY position;
-- 5
UPDATE "images" SET "is_primary" = %s WHERE ((("images"."gig_id" = %s) AND "images"."is_primary") AND ("images"."id" != %s));
-- 6
UPDATE "images" SET "is_primary" = %s WHERE (("images"."id" = %s) AND NOT "images"."is_primary");
-- 7
SELECT app_now() AS now;
-- 8
UPDATE "gigs" SET "version" = ("gigs"."version" + %s), "updated_at" = %s, "thumbnail_key" = %s WHERE ("gigs"."id" = %s);
-- 9
WITH rows AS MATERIALIZED ( SELECT p.id AS package_id, g.id AS gig_id, g.seller_id, g.status, g.category_id, coalesce(c.parent_id, c.id) AS section_id, p.price, p.delivery_days, g.rating, g.review_count, g.created_at, row_number() OVER (PARTITION BY g.id ORDER BY p.price, p.id) = 1 AS is_cheapest, b.word_bits FROM gigs AS g CROSS JOIN LATERAL ( SELECT coalesce( (SELECT word_bits FROM search_rows WHERE gig_id = g.id AND word_bits IS NOT NULL LIMIT 1), word_bits(tsvector_to_array(g.document)) ) AS word_bits OFFSET 0 ) AS b JOIN packages AS p ON p.gig_id = g.id JOIN categories AS c ON c.id = g.category_id WHERE g.deleted_at IS NULL AND g.id = $1), gone AS ( DELETE FROM search_rows WHERE gig_id = $1 AND package_id NOT IN (SELECT package_id FROM rows) ) INSERT INTO search_rows AS stored (package_id, gig_id, seller_id, status, category_id, section_id, price, delivery_days, rating, review_count, created_at, is_cheapest, word_bits) SELECT * FROM rows ON CONFLICT (package_id) DO UPDATE SET (status, category_id, section_id, price, delivery_days, rating, review_count, is_cheapest, word_bits) = (excluded.status, excluded.category_id, excluded.section_id, excluded.price, excluded.delivery_days, excluded.rating, excluded.review_count, excluded.is_cheapest, excluded.word_bits) WHERE (stored.status, stored.category_id, stored.section_id, stored.price, stored.delivery_days, stored.rating, stored.review_count, stored.is_cheapest, stored.word_bits) IS DISTINCT FROM (excluded.status, excluded.category_id, excluded.section_id, excluded.price, excluded.delivery_days, excluded.rating, excluded.review_count, excluded.is_cheapest, excluded.word_bits);
-- 10
SELECT g.id, g.title, g.description, g.category_id, g.tags, g.status, g.version, g.rating_version, g.rating, g.review_count, g.created_at, g.updated_at, g.seller_id, s.username, s.version AS seller_version, s.buyer_count, s.buyer_rating_sum, ( SELECT coalesce(json_agg(json_build_object( 'id', p.id, 'title', p.title, 'description', p.description, 'price', p.price::text, 'delivery_days', p.delivery_days, 'features', p.features, 'revisions', p.revisions, 'extras', p.extras ) ORDER BY p.position), '[]') FROM packages AS p WHERE p.gig_id = g.id ) AS packages, ( SELECT coalesce(json_agg(json_build_object( 'id', i.id, 'key', i.key, 'thumbnail_key', i.thumbnail_key, 'is_primary', i.is_primary ) ORDER BY i.position), '[]') FROM images AS i WHERE i.gig_id = g.id ) AS images FROM gigs AS g JOIN sellers AS s ON s.id = g.seller_id WHERE g.id = $1 AND g.deleted_at IS NULL;
-- 11
COMMIT;

-- UpdatePackage (messages: 10, statements: 11)
-- 1
BEGIN;
SELECT id FROM gigs WHERE id = $1 FOR UPDATE;
-- 2
SELECT id, seller_id, status, version, array(SELECT p.id FROM packages AS p WHERE p.gig_id = gigs.id ORDER BY p.position) AS package_ids, array(SELECT i.id FROM images AS i WHERE i.gig_id = gigs.id ORDER BY i.position) AS image_ids FROM gigs WHERE id = $1 AND deleted_at IS NULL;
-- 3
INSERT INTO "sellers" ("id", "username", "version", "buyer_count", "buyer_rating_sum") VALUES (%s, %s, %s, %s, %s) ON CONFLICT ("id") DO UPDATE SET "username" = EXCLUDED."username", "version" = ("sellers"."version" + %s) WHERE ((EXCLUDED."username" != %s) AND (EXCLUDED."username" != "sellers"."username")) RETURNING "sellers"."id";
-- 4
SELECT (extra ->> 'id')::uuid AS id FROM packages, jsonb_array_elements(extras) AS extra WHERE packages.id = $1;
-- 5
UPDATE "packages" SET "title" = %s, "description" = %s, "price" = %s, "delivery_days" = %s, "features" = %s, "revisions" = %s, "extras" = %s WHERE ("packages"."id" = %s);
-- 6
SELECT app_now() AS now;
-- 7
UPDATE "gigs" SET "version" = ("gigs"."version" + %s), "updated_at" = %s WHERE ("gigs"."id" = %s);
-- 8
WITH rows AS MATERIALIZED ( SELECT p.id AS package_id, g.id AS gig_id, g.seller_id, g.status, g.category_id, coalesce(c.parent_id, c.id) AS section_id, p.price, p.delivery_days, g.rating, g.review_count, g.created_at, row_number() OVER (PARTITION BY g.id ORDER BY p.price, p.id) = 1 AS is_cheapest, b.word_bits FROM gigs AS g CROSS JOIN LATERAL ( SELECT coalesce( (SELECT word_bits FROM search_rows WHERE gig_id = g.id AND word_bits IS NOT NULL LIMIT 1), word_bits(tsvector_to_array(g.document)) ) AS word_bits OFFSET 0 ) AS b JOIN packages AS p ON p.gig_id = g.id JOIN categories AS c ON c.id = g.category_id WHERE g.deleted_at IS NULL AND g.id = $1), gone AS ( DELETE FROM search_rows WHERE gig_id = $1 AND package_id NOT IN (SELECT package_id FROM rows) ) INSERT INTO search_rows AS stored (package_id, gig_id, seller_id, status, category_id, section_id, price, delivery_days, rating, review_count, created_at, is_cheapest, word_bits) SELECT * FROM rows ON CONFLICT (package_id) DO UPDATE SET (status, category_id, section_id, price, delivery_days, rating, review_count, is_cheapest, word_bits) = (excluded.status, excluded.category_id, excluded.section_id, excluded.price, excluded.delivery_days, excluded.rating, excluded.review_count, excluded.is_cheapest, excluded.word_bits) WHERE (stored.status, stored.category_id, stored.section_id, stored.price, stored.delivery_days, stored.rating, stored.review_count, stored.is_cheapest, stored.word_bits) IS DISTINCT FROM (excluded.status, excluded.category_id, excluded.section_id, excluded.price, excluded.delivery_days, excluded.rating, excluded.review_count, excluded.is_cheapest, excluded.word_bits);
-- 9
SELECT g.id, g.title, g.description, g.category_id, g.tags, g.status, g.version, g.rating_version, g.rating, g.review_count, g.created_at, g.updated_at, g.seller_id, s.username, s.version AS seller_version, s.buyer_count, s.buyer_rating_sum, ( SELECT coalesce(json_agg(json_build_object( 'id', p.id, 'title', p.title, 'description', p.description, 'price', p.price::text, 'delivery_days', p.delivery_days, 'features', p.features, 'revisions', p.revisions, 'extras', p.extras ) ORDER BY p.position), '[]') FROM packages AS p WHERE p.gig_id = g.id ) AS packages, ( SELECT coalesce(json_agg(json_build_object( 'id', i.id, 'key', i.key, 'thumbnail_key', i.thumbnail_key, 'is_primary', i.is_primary ) ORDER BY i.position), '[]') FROM images AS i WHERE i.gig_id = g.id ) AS images FROM gigs AS g JOIN sellers AS s ON s.id = g.seller_id WHERE g.id = $1 AND g.deleted_at IS NULL;
-- 10
COMMIT;
