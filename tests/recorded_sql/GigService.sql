-- AddPackage (messages: 11, statements: 12)
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
INSERT INTO "packages" ("id", "gig_id", "position", "title", "description", "price", "delivery_days", "features", "revisions") VALUES (%s, %s, %s, %s, %s, %s, %s, %s, %s) RETURNING "packages"."id";
-- 6
SELECT app_now() AS now;
-- 7
UPDATE "gigs" SET "version" = ("gigs"."version" + %s), "updated_at" = %s WHERE ("gigs"."id" = %s);
-- 8
DELETE FROM search_rows WHERE gig_id = $1;
-- 9
INSERT INTO search_rows (package_id, gig_id, seller_id, status, category_id, section_id, price, delivery_days, rating, review_count, created_at) SELECT p.id, g.id, g.seller_id, g.status, g.category_id, coalesce(c.parent_id, c.id), p.price, p.delivery_days, g.rating, g.review_count, g.created_at FROM gigs AS g JOIN packages AS p ON p.gig_id = g.id JOIN categories AS c ON c.id = g.category_id WHERE g.id = $1 AND g.deleted_at IS NULL;
-- 10
SELECT g.id, g.title, g.description, g.category_id, g.tags, g.status, g.version, g.rating_version, g.rating, g.review_count, g.created_at, g.updated_at, g.seller_id, s.username, s.version AS seller_version, s.buyer_count, s.buyer_rating_sum, ( SELECT coalesce(json_agg(json_build_object( 'id', p.id, 'title', p.title, 'description', p.description, 'price', p.price::text, 'delivery_days', p.delivery_days, 'features', p.features, 'revisions', p.revisions ) ORDER BY p.position), '[]') FROM packages AS p WHERE p.gig_id = g.id ) AS packages, ( SELECT coalesce(json_agg(json_build_object( 'id', i.id, 'key', i.key, 'thumbnail_key', i.thumbnail_key, 'is_primary', i.is_primary ) ORDER BY i.position), '[]') FROM images AS i WHERE i.gig_id = g.id ) AS images FROM gigs AS g JOIN sellers AS s ON s.id = g.seller_id WHERE g.id = $1 AND g.deleted_at IS NULL;
-- 11
COMMIT;

-- ApplyRating (messages: 5, statements: 6)
-- 1
BEGIN;
SELECT rating_version, review_count, rating_sum FROM gigs WHERE id = $1 FOR UPDATE;
-- 2
UPDATE "gigs" SET "rating_version" = %s, "review_count" = %s, "rating_sum" = %s, "rating" = %s WHERE ("gigs"."id" = %s);
-- 3
DELETE FROM search_rows WHERE gig_id = $1;
-- 4
INSERT INTO search_rows (package_id, gig_id, seller_id, status, category_id, section_id, price, delivery_days, rating, review_count, created_at) SELECT p.id, g.id, g.seller_id, g.status, g.category_id, coalesce(c.parent_id, c.id), p.price, p.delivery_days, g.rating, g.review_count, g.created_at FROM gigs AS g JOIN packages AS p ON p.gig_id = g.id JOIN categories AS c ON c.id = g.category_id WHERE g.id = $1 AND g.deleted_at IS NULL;
-- 5
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

-- CreateGig (messages: 12, statements: 12)
-- 1
SELECT id FROM categories WHERE id = $1;
-- 2
BEGIN;
-- 3
INSERT INTO "sellers" ("id", "username", "version", "buyer_count", "buyer_rating_sum") VALUES (%s, %s, %s, %s, %s) ON CONFLICT ("id") DO UPDATE SET "username" = EXCLUDED."username", "version" = ("sellers"."version" + %s) WHERE ((EXCLUDED."username" != %s) AND (EXCLUDED."username" != "sellers"."username")) RETURNING "sellers"."id";
-- 4
SELECT app_now() AS now;
-- 5
INSERT INTO "gigs" ("id", "seller_id", "title", "description", "category_id", "tags", "status", "version", "created_at", "updated_at", "rating_version", "review_count", "rating_sum", "rating", "thumbnail_key") VALUES (%s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s) RETURNING "gigs"."id";
-- 6
SELECT coalesce(max(position), 0) AS last FROM packages WHERE gig_id = $1;
-- 7
INSERT INTO "packages" ("id", "gig_id", "position", "title", "description", "price", "delivery_days", "features", "revisions") VALUES (%s, %s, %s, %s, %s, %s, %s, %s, %s) RETURNING "packages"."id";
-- 8
DELETE FROM search_rows WHERE gig_id = $1;
-- 9
INSERT INTO search_rows (package_id, gig_id, seller_id, status, category_id, section_id, price, delivery_days, rating, review_count, created_at) SELECT p.id, g.id, g.seller_id, g.status, g.category_id, coalesce(c.parent_id, c.id), p.price, p.delivery_days, g.rating, g.review_count, g.created_at FROM gigs AS g JOIN packages AS p ON p.gig_id = g.id JOIN categories AS c ON c.id = g.category_id WHERE g.id = $1 AND g.deleted_at IS NULL;
-- 10
INSERT INTO words (word) SELECT DISTINCT word FROM gigs, regexp_split_to_table( search_text(concat_ws(' ', title, array_to_string(tags, ' '), description)), ' ' ) AS word WHERE id = $1 AND length(word) BETWEEN 3 AND 40 ORDER BY word ON CONFLICT DO NOTHING;
-- 11
SELECT g.id, g.title, g.description, g.category_id, g.tags, g.status, g.version, g.rating_version, g.rating, g.review_count, g.created_at, g.updated_at, g.seller_id, s.username, s.version AS seller_version, s.buyer_count, s.buyer_rating_sum, ( SELECT coalesce(json_agg(json_build_object( 'id', p.id, 'title', p.title, 'description', p.description, 'price', p.price::text, 'delivery_days', p.delivery_days, 'features', p.features, 'revisions', p.revisions ) ORDER BY p.position), '[]') FROM packages AS p WHERE p.gig_id = g.id ) AS packages, ( SELECT coalesce(json_agg(json_build_object( 'id', i.id, 'key', i.key, 'thumbnail_key', i.thumbnail_key, 'is_primary', i.is_primary ) ORDER BY i.position), '[]') FROM images AS i WHERE i.gig_id = g.id ) AS images FROM gigs AS g JOIN sellers AS s ON s.id = g.seller_id WHERE g.id = $1 AND g.deleted_at IS NULL;
-- 12
COMMIT;

-- CreateGig: with a key (messages: 14, statements: 17)
-- 1
SELECT digest, attempt, answer, etag FROM idempotency_keys WHERE caller = $1 AND scope = $2 AND key = $3 AND (answer IS NULL OR created_at > app_now() - $4::interval);
-- 2
BEGIN;
INSERT INTO idempotency_keys AS known (caller, scope, key, digest, attempt, created_at) VALUES ($1, $2, $3, $4, $5, app_now()) ON CONFLICT (caller, scope, key) DO UPDATE SET digest = excluded.digest, attempt = excluded.attempt, answer = NULL, etag = '', created_at = excluded.created_at WHERE known.answer IS NOT NULL AND known.created_at <= app_now() - $6::interval RETURNING key;
-- 3
SELECT id FROM categories WHERE id = $1;
-- 4
SAVEPOINT s;
-- 5
INSERT INTO "sellers" ("id", "username", "version", "buyer_count", "buyer_rating_sum") VALUES (%s, %s, %s, %s, %s) ON CONFLICT ("id") DO UPDATE SET "username" = EXCLUDED."username", "version" = ("sellers"."version" + %s) WHERE ((EXCLUDED."username" != %s) AND (EXCLUDED."username" != "sellers"."username")) RETURNING "sellers"."id";
-- 6
SELECT app_now() AS now;
-- 7
INSERT INTO "gigs" ("id", "seller_id", "title", "description", "category_id", "tags", "status", "version", "created_at", "updated_at", "rating_version", "review_count", "rating_sum", "rating", "thumbnail_key") VALUES (%s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s) RETURNING "gigs"."id";
-- 8
SELECT coalesce(max(position), 0) AS last FROM packages WHERE gig_id = $1;
-- 9
INSERT INTO "packages" ("id", "gig_id", "position", "title", "description", "price", "delivery_days", "features", "revisions") VALUES (%s, %s, %s, %s, %s, %s, %s, %s, %s) RETURNING "packages"."id";
-- 10
DELETE FROM search_rows WHERE gig_id = $1;
-- 11
INSERT INTO search_rows (package_id, gig_id, seller_id, status, category_id, section_id, price, delivery_days, rating, review_count, created_at) SELECT p.id, g.id, g.seller_id, g.status, g.category_id, coalesce(c.parent_id, c.id), p.price, p.delivery_days, g.rating, g.review_count, g.created_at FROM gigs AS g JOIN packages AS p ON p.gig_id = g.id JOIN categories AS c ON c.id = g.category_id WHERE g.id = $1 AND g.deleted_at IS NULL;
-- 12
INSERT INTO words (word) SELECT DISTINCT word FROM gigs, regexp_split_to_table( search_text(concat_ws(' ', title, array_to_string(tags, ' '), description)), ' ' ) AS word WHERE id = $1 AND length(word) BETWEEN 3 AND 40 ORDER BY word ON CONFLICT DO NOTHING;
-- 13
SELECT g.id, g.title, g.description, g.category_id, g.tags, g.status, g.version, g.rating_version, g.rating, g.review_count, g.created_at, g.updated_at, g.seller_id, s.username, s.version AS seller_version, s.buyer_count, s.buyer_rating_sum, ( SELECT coalesce(json_agg(json_build_object( 'id', p.id, 'title', p.title, 'description', p.description, 'price', p.price::text, 'delivery_days', p.delivery_days, 'features', p.features, 'revisions', p.revisions ) ORDER BY p.position), '[]') FROM packages AS p WHERE p.gig_id = g.id ) AS packages, ( SELECT coalesce(json_agg(json_build_object( 'id', i.id, 'key', i.key, 'thumbnail_key', i.thumbnail_key, 'is_primary', i.is_primary ) ORDER BY i.position), '[]') FROM images AS i WHERE i.gig_id = g.id ) AS images FROM gigs AS g JOIN sellers AS s ON s.id = g.seller_id WHERE g.id = $1 AND g.deleted_at IS NULL;
-- 14
RELEASE SAVEPOINT s;
UPDATE idempotency_keys SET answer = $4, etag = $5 WHERE caller = $1 AND scope = $2 AND key = $3;
COMMIT;

-- CreateGig: with a known key (messages: 1, statements: 1)
-- 1
SELECT digest, attempt, answer, etag FROM idempotency_keys WHERE caller = $1 AND scope = $2 AND key = $3 AND (answer IS NULL OR created_at > app_now() - $4::interval);

-- DeleteGig (messages: 15, statements: 18)
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
DELETE FROM search_rows WHERE gig_id = $1;
-- 9
INSERT INTO search_rows (package_id, gig_id, seller_id, status, category_id, section_id, price, delivery_days, rating, review_count, created_at) SELECT p.id, g.id, g.seller_id, g.status, g.category_id, coalesce(c.parent_id, c.id), p.price, p.delivery_days, g.rating, g.review_count, g.created_at FROM gigs AS g JOIN packages AS p ON p.gig_id = g.id JOIN categories AS c ON c.id = g.category_id WHERE g.id = $1 AND g.deleted_at IS NULL;
-- 10
SELECT app_now() AS now;
-- 11
SELECT app_now() AS now;
-- 12
UPDATE "gigs" SET "version" = ("gigs"."version" + %s), "updated_at" = %s, "deleted_at" = %s WHERE ("gigs"."id" = %s);
-- 13
DELETE FROM search_rows WHERE gig_id = $1;
-- 14
INSERT INTO search_rows (package_id, gig_id, seller_id, status, category_id, section_id, price, delivery_days, rating, review_count, created_at) SELECT p.id, g.id, g.seller_id, g.status, g.category_id, coalesce(c.parent_id, c.id), p.price, p.delivery_days, g.rating, g.review_count, g.created_at FROM gigs AS g JOIN packages AS p ON p.gig_id = g.id JOIN categories AS c ON c.id = g.category_id WHERE g.id = $1 AND g.deleted_at IS NULL;
-- 15
COMMIT;

-- DeleteImage (messages: 14, statements: 15)
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
DELETE FROM search_rows WHERE gig_id = $1;
-- 12
INSERT INTO search_rows (package_id, gig_id, seller_id, status, category_id, section_id, price, delivery_days, rating, review_count, created_at) SELECT p.id, g.id, g.seller_id, g.status, g.category_id, coalesce(c.parent_id, c.id), p.price, p.delivery_days, g.rating, g.review_count, g.created_at FROM gigs AS g JOIN packages AS p ON p.gig_id = g.id JOIN categories AS c ON c.id = g.category_id WHERE g.id = $1 AND g.deleted_at IS NULL;
-- 13
SELECT g.id, g.title, g.description, g.category_id, g.tags, g.status, g.version, g.rating_version, g.rating, g.review_count, g.created_at, g.updated_at, g.seller_id, s.username, s.version AS seller_version, s.buyer_count, s.buyer_rating_sum, ( SELECT coalesce(json_agg(json_build_object( 'id', p.id, 'title', p.title, 'description', p.description, 'price', p.price::text, 'delivery_days', p.delivery_days, 'features', p.features, 'revisions', p.revisions ) ORDER BY p.position), '[]') FROM packages AS p WHERE p.gig_id = g.id ) AS packages, ( SELECT coalesce(json_agg(json_build_object( 'id', i.id, 'key', i.key, 'thumbnail_key', i.thumbnail_key, 'is_primary', i.is_primary ) ORDER BY i.position), '[]') FROM images AS i WHERE i.gig_id = g.id ) AS images FROM gigs AS g JOIN sellers AS s ON s.id = g.seller_id WHERE g.id = $1 AND g.deleted_at IS NULL;
-- 14
COMMIT;

-- DeletePackage (messages: 10, statements: 11)
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
DELETE FROM search_rows WHERE gig_id = $1;
-- 8
INSERT INTO search_rows (package_id, gig_id, seller_id, status, category_id, section_id, price, delivery_days, rating, review_count, created_at) SELECT p.id, g.id, g.seller_id, g.status, g.category_id, coalesce(c.parent_id, c.id), p.price, p.delivery_days, g.rating, g.review_count, g.created_at FROM gigs AS g JOIN packages AS p ON p.gig_id = g.id JOIN categories AS c ON c.id = g.category_id WHERE g.id = $1 AND g.deleted_at IS NULL;
-- 9
SELECT g.id, g.title, g.description, g.category_id, g.tags, g.status, g.version, g.rating_version, g.rating, g.review_count, g.created_at, g.updated_at, g.seller_id, s.username, s.version AS seller_version, s.buyer_count, s.buyer_rating_sum, ( SELECT coalesce(json_agg(json_build_object( 'id', p.id, 'title', p.title, 'description', p.description, 'price', p.price::text, 'delivery_days', p.delivery_days, 'features', p.features, 'revisions', p.revisions ) ORDER BY p.position), '[]') FROM packages AS p WHERE p.gig_id = g.id ) AS packages, ( SELECT coalesce(json_agg(json_build_object( 'id', i.id, 'key', i.key, 'thumbnail_key', i.thumbnail_key, 'is_primary', i.is_primary ) ORDER BY i.position), '[]') FROM images AS i WHERE i.gig_id = g.id ) AS images FROM gigs AS g JOIN sellers AS s ON s.id = g.seller_id WHERE g.id = $1 AND g.deleted_at IS NULL;
-- 10
COMMIT;

-- DescribeGig (messages: 1, statements: 1)
-- 1
SELECT id, seller_id, status, version, array(SELECT p.id FROM packages AS p WHERE p.gig_id = gigs.id ORDER BY p.position) AS package_ids, array(SELECT i.id FROM images AS i WHERE i.gig_id = gigs.id ORDER BY i.position) AS image_ids FROM gigs WHERE id = $1 AND deleted_at IS NULL;

-- FindMissingReviews (messages: 1, statements: 1)
-- 1
SELECT sent.review_id FROM unnest($1::uuid[], $2::uuid[], $3::uuid[], $4::timestamptz[]) WITH ORDINALITY AS sent(gig_id, review_id, buyer_id, created_at, place) LEFT JOIN gigs ON gigs.id = sent.gig_id LEFT JOIN seller_reviews AS stored ON stored.seller_id = gigs.seller_id AND stored.buyer_id = sent.buyer_id WHERE stored.review_id IS NULL OR (stored.created_at, stored.review_id) < (sent.created_at, sent.review_id) ORDER BY place;

-- GetGig (messages: 1, statements: 1)
-- 1
SELECT g.id, g.title, g.description, g.category_id, g.tags, g.status, g.version, g.rating_version, g.rating, g.review_count, g.created_at, g.updated_at, g.seller_id, s.username, s.version AS seller_version, s.buyer_count, s.buyer_rating_sum, ( SELECT coalesce(json_agg(json_build_object( 'id', p.id, 'title', p.title, 'description', p.description, 'price', p.price::text, 'delivery_days', p.delivery_days, 'features', p.features, 'revisions', p.revisions ) ORDER BY p.position), '[]') FROM packages AS p WHERE p.gig_id = g.id ) AS packages, ( SELECT coalesce(json_agg(json_build_object( 'id', i.id, 'key', i.key, 'thumbnail_key', i.thumbnail_key, 'is_primary', i.is_primary ) ORDER BY i.position), '[]') FROM images AS i WHERE i.gig_id = g.id ) AS images FROM gigs AS g JOIN sellers AS s ON s.id = g.seller_id WHERE g.id = $1 AND g.deleted_at IS NULL;

-- GetGig: the seller (messages: 1, statements: 1)
-- 1
SELECT g.id, g.title, g.description, g.category_id, g.tags, g.status, g.version, g.rating_version, g.rating, g.review_count, g.created_at, g.updated_at, g.seller_id, s.username, s.version AS seller_version, s.buyer_count, s.buyer_rating_sum, ( SELECT coalesce(json_agg(json_build_object( 'id', p.id, 'title', p.title, 'description', p.description, 'price', p.price::text, 'delivery_days', p.delivery_days, 'features', p.features, 'revisions', p.revisions ) ORDER BY p.position), '[]') FROM packages AS p WHERE p.gig_id = g.id ) AS packages, ( SELECT coalesce(json_agg(json_build_object( 'id', i.id, 'key', i.key, 'thumbnail_key', i.thumbnail_key, 'is_primary', i.is_primary ) ORDER BY i.position), '[]') FROM images AS i WHERE i.gig_id = g.id ) AS images FROM gigs AS g JOIN sellers AS s ON s.id = g.seller_id WHERE g.id = $1 AND g.deleted_at IS NULL;

-- GetPackageTerms (messages: 1, statements: 1)
-- 1
SELECT p.id AS package_id, p.title AS package_title, g.id AS gig_id, g.title AS gig_title, g.seller_id, p.price, p.delivery_days, p.revisions FROM packages AS p JOIN gigs AS g ON g.id = p.gig_id WHERE p.id = $1 AND g.status = 'ACTIVE' AND g.deleted_at IS NULL;

-- ListCategories (messages: 1, statements: 1)
-- 1
SELECT id, slug, name, parent_id FROM categories ORDER BY position;

-- ListPackages (messages: 1, statements: 1)
-- 1
SELECT g.id, g.title, g.description, g.category_id, g.tags, g.status, g.version, g.rating_version, g.rating, g.review_count, g.created_at, g.updated_at, g.seller_id, s.username, s.version AS seller_version, s.buyer_count, s.buyer_rating_sum, ( SELECT coalesce(json_agg(json_build_object( 'id', p.id, 'title', p.title, 'description', p.description, 'price', p.price::text, 'delivery_days', p.delivery_days, 'features', p.features, 'revisions', p.revisions ) ORDER BY p.position), '[]') FROM packages AS p WHERE p.gig_id = g.id ) AS packages, ( SELECT coalesce(json_agg(json_build_object( 'id', i.id, 'key', i.key, 'thumbnail_key', i.thumbnail_key, 'is_primary', i.is_primary ) ORDER BY i.position), '[]') FROM images AS i WHERE i.gig_id = g.id ) AS images FROM gigs AS g JOIN sellers AS s ON s.id = g.seller_id WHERE g.id = $1 AND g.deleted_at IS NULL;

-- ListRatings (messages: 1, statements: 1)
-- 1
SELECT id, rating_version, review_count, rating_sum, rating, NOT EXISTS ( SELECT 1 FROM search_rows WHERE gig_id = page.id AND (search_rows.rating, search_rows.review_count) <> (page.rating, page.review_count) ) AS is_searched FROM (SELECT * FROM gigs WHERE id > $1 AND id <= $2 ORDER BY id LIMIT $3) AS page ORDER BY id;

-- SearchGigs (messages: 4, statements: 4)
-- 1
SELECT word, stem::text AS stem, numnode(plainto_tsquery('english', word)) = 0 AS common FROM ( SELECT word, min(place) AS place, plainto_tsquery('gig_words', word) AS stem FROM regexp_split_to_table(search_text($1), ' ') WITH ORDINALITY AS typed (word, place) WHERE octet_length(word) BETWEEN 1 AND 1000 GROUP BY word ) AS words WHERE numnode(stem) > 0 ORDER BY place;
-- 2
BEGIN;
-- 3
SELECT "t1"."gig_id", "t1"."seller_id", "t1"."price", "t1"."rating", "t1"."review_count", "t2"."title", "t2"."thumbnail_key", "t3"."username", "t3"."version", "t3"."buyer_count", "t3"."buyer_rating_sum", "t1"."rating" AS "key_0", "t1"."review_count" AS "key_1", "t1"."gig_id" AS "key_2" FROM "search_rows" AS "t1" INNER JOIN "gigs" AS "t2" ON ("t2"."id" = "t1"."gig_id") INNER JOIN "sellers" AS "t3" ON ("t3"."id" = "t1"."seller_id") WHERE (("t1"."status" = %s) AND NOT EXISTS(SELECT 1 FROM "search_rows" AS "other" WHERE (("other"."gig_id" = "t1"."gig_id") AND (("other"."price", "other"."package_id") < ("t1"."price", "t1"."package_id"))))) ORDER BY "t1"."rating" DESC, "t1"."review_count" DESC, "t1"."gig_id" DESC LIMIT %s;
-- 4
COMMIT;

-- SearchGigs: a category (messages: 5, statements: 5)
-- 1
SELECT id, slug, name, parent_id FROM categories WHERE slug = $1 OR id::text = lower($1);
-- 2
SELECT word, stem::text AS stem, numnode(plainto_tsquery('english', word)) = 0 AS common FROM ( SELECT word, min(place) AS place, plainto_tsquery('gig_words', word) AS stem FROM regexp_split_to_table(search_text($1), ' ') WITH ORDINALITY AS typed (word, place) WHERE octet_length(word) BETWEEN 1 AND 1000 GROUP BY word ) AS words WHERE numnode(stem) > 0 ORDER BY place;
-- 3
BEGIN;
-- 4
SELECT "t1"."gig_id", "t1"."seller_id", "t1"."price", "t1"."rating", "t1"."review_count", "t2"."title", "t2"."thumbnail_key", "t3"."username", "t3"."version", "t3"."buyer_count", "t3"."buyer_rating_sum", "t1"."rating" AS "key_0", "t1"."review_count" AS "key_1", "t1"."gig_id" AS "key_2" FROM "search_rows" AS "t1" INNER JOIN "gigs" AS "t2" ON ("t2"."id" = "t1"."gig_id") INNER JOIN "sellers" AS "t3" ON ("t3"."id" = "t1"."seller_id") WHERE ((("t1"."status" = %s) AND ("t1"."category_id" = %s)) AND NOT EXISTS(SELECT 1 FROM "search_rows" AS "other" WHERE (("other"."gig_id" = "t1"."gig_id") AND (("other"."price", "other"."package_id") < ("t1"."price", "t1"."package_id"))))) ORDER BY "t1"."rating" DESC, "t1"."review_count" DESC, "t1"."gig_id" DESC LIMIT %s;
-- 5
COMMIT;

-- SearchGigs: a seller (messages: 4, statements: 4)
-- 1
SELECT word, stem::text AS stem, numnode(plainto_tsquery('english', word)) = 0 AS common FROM ( SELECT word, min(place) AS place, plainto_tsquery('gig_words', word) AS stem FROM regexp_split_to_table(search_text($1), ' ') WITH ORDINALITY AS typed (word, place) WHERE octet_length(word) BETWEEN 1 AND 1000 GROUP BY word ) AS words WHERE numnode(stem) > 0 ORDER BY place;
-- 2
BEGIN;
-- 3
SELECT "t1"."gig_id", "t1"."seller_id", "t1"."price", "t1"."rating", "t1"."review_count", "t2"."title", "t2"."thumbnail_key", "t3"."username", "t3"."version", "t3"."buyer_count", "t3"."buyer_rating_sum", "t1"."rating" AS "key_0", "t1"."review_count" AS "key_1", "t1"."gig_id" AS "key_2" FROM "search_rows" AS "t1" INNER JOIN "gigs" AS "t2" ON ("t2"."id" = "t1"."gig_id") INNER JOIN "sellers" AS "t3" ON ("t3"."id" = "t1"."seller_id") WHERE ((("t1"."status" = %s) AND ("t1"."seller_id" = %s)) AND NOT EXISTS(SELECT 1 FROM "search_rows" AS "other" WHERE (("other"."gig_id" = "t1"."gig_id") AND (("other"."price", "other"."package_id") < ("t1"."price", "t1"."package_id"))))) ORDER BY "t1"."rating" DESC, "t1"."review_count" DESC, "t1"."gig_id" DESC LIMIT %s;
-- 4
COMMIT;

-- SearchGigs: prices (messages: 4, statements: 4)
-- 1
SELECT word, stem::text AS stem, numnode(plainto_tsquery('english', word)) = 0 AS common FROM ( SELECT word, min(place) AS place, plainto_tsquery('gig_words', word) AS stem FROM regexp_split_to_table(search_text($1), ' ') WITH ORDINALITY AS typed (word, place) WHERE octet_length(word) BETWEEN 1 AND 1000 GROUP BY word ) AS words WHERE numnode(stem) > 0 ORDER BY place;
-- 2
BEGIN;
-- 3
SELECT "t1"."gig_id", "t1"."seller_id", "t1"."price", "t1"."rating", "t1"."review_count", "t2"."title", "t2"."thumbnail_key", "t3"."username", "t3"."version", "t3"."buyer_count", "t3"."buyer_rating_sum", "t1"."rating" AS "key_0", "t1"."review_count" AS "key_1", "t1"."gig_id" AS "key_2" FROM "search_rows" AS "t1" INNER JOIN "gigs" AS "t2" ON ("t2"."id" = "t1"."gig_id") INNER JOIN "sellers" AS "t3" ON ("t3"."id" = "t1"."seller_id") WHERE (((("t1"."status" = %s) AND ("t1"."price" >= %s)) AND ("t1"."price" <= %s)) AND NOT EXISTS(SELECT 1 FROM "search_rows" AS "other" WHERE (((("other"."gig_id" = "t1"."gig_id") AND (("other"."price", "other"."package_id") < ("t1"."price", "t1"."package_id"))) AND ("other"."price" >= %s)) AND ("other"."price" <= %s)))) ORDER BY "t1"."rating" DESC, "t1"."review_count" DESC, "t1"."gig_id" DESC LIMIT %s;
-- 4
COMMIT;

-- SearchGigs: the seller's own (messages: 4, statements: 4)
-- 1
SELECT word, stem::text AS stem, numnode(plainto_tsquery('english', word)) = 0 AS common FROM ( SELECT word, min(place) AS place, plainto_tsquery('gig_words', word) AS stem FROM regexp_split_to_table(search_text($1), ' ') WITH ORDINALITY AS typed (word, place) WHERE octet_length(word) BETWEEN 1 AND 1000 GROUP BY word ) AS words WHERE numnode(stem) > 0 ORDER BY place;
-- 2
BEGIN;
-- 3
SELECT "t1"."gig_id", "t1"."seller_id", "t1"."price", "t1"."rating", "t1"."review_count", "t2"."title", "t2"."thumbnail_key", "t3"."username", "t3"."version", "t3"."buyer_count", "t3"."buyer_rating_sum", "t1"."rating" AS "key_0", "t1"."review_count" AS "key_1", "t1"."gig_id" AS "key_2" FROM "search_rows" AS "t1" INNER JOIN "gigs" AS "t2" ON ("t2"."id" = "t1"."gig_id") INNER JOIN "sellers" AS "t3" ON ("t3"."id" = "t1"."seller_id") WHERE ((("t1"."status" = %s) AND ("t1"."seller_id" = %s)) AND NOT EXISTS(SELECT 1 FROM "search_rows" AS "other" WHERE (("other"."gig_id" = "t1"."gig_id") AND (("other"."price", "other"."package_id") < ("t1"."price", "t1"."package_id"))))) ORDER BY "t1"."rating" DESC, "t1"."review_count" DESC, "t1"."gig_id" DESC LIMIT %s;
-- 4
COMMIT;

-- SearchGigs: words (messages: 7, statements: 7)
-- 1
SELECT word, stem::text AS stem, numnode(plainto_tsquery('english', word)) = 0 AS common FROM ( SELECT word, min(place) AS place, plainto_tsquery('gig_words', word) AS stem FROM regexp_split_to_table(search_text($1), ' ') WITH ORDINALITY AS typed (word, place) WHERE octet_length(word) BETWEEN 1 AND 1000 GROUP BY word ) AS words WHERE numnode(stem) > 0 ORDER BY place;
-- 2
BEGIN;
-- 3
SELECT (SELECT COUNT(*) FROM (SELECT 1 FROM "gigs" AS "t1" WHERE ((("t1"."document" @@ CAST(%s AS tsquery)) AND ("t1"."status" = %s)) AND ("t1"."deleted_at" IS NULL)) LIMIT %s) AS "matching");
-- 4
COMMIT;
-- 5
BEGIN;
-- 6
SELECT "t1"."gig_id", "t1"."seller_id", "t1"."price", "t1"."rating", "t1"."review_count", "t2"."title", "t2"."thumbnail_key", "t3"."username", "t3"."version", "t3"."buyer_count", "t3"."buyer_rating_sum", CAST((ts_rank("t2"."document", CAST(%s AS tsquery)) * %s) AS integer) AS "key_0", "t1"."rating" AS "key_1", "t1"."review_count" AS "key_2", "t1"."gig_id" AS "key_3" FROM "search_rows" AS "t1" INNER JOIN "gigs" AS "t2" ON ("t2"."id" = "t1"."gig_id") INNER JOIN "sellers" AS "t3" ON ("t3"."id" = "t1"."seller_id") WHERE ((("t1"."status" = %s) AND ("t2"."document" @@ CAST(%s AS tsquery))) AND NOT EXISTS(SELECT 1 FROM "search_rows" AS "other" WHERE (("other"."gig_id" = "t1"."gig_id") AND (("other"."price", "other"."package_id") < ("t1"."price", "t1"."package_id"))))) ORDER BY CAST((ts_rank("t2"."document", CAST(%s AS tsquery)) * %s) AS integer) DESC, "t1"."rating" DESC, "t1"."review_count" DESC, "t1"."gig_id" DESC LIMIT %s;
-- 7
COMMIT;

-- SetGigStatus (messages: 9, statements: 10)
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
DELETE FROM search_rows WHERE gig_id = $1;
-- 7
INSERT INTO search_rows (package_id, gig_id, seller_id, status, category_id, section_id, price, delivery_days, rating, review_count, created_at) SELECT p.id, g.id, g.seller_id, g.status, g.category_id, coalesce(c.parent_id, c.id), p.price, p.delivery_days, g.rating, g.review_count, g.created_at FROM gigs AS g JOIN packages AS p ON p.gig_id = g.id JOIN categories AS c ON c.id = g.category_id WHERE g.id = $1 AND g.deleted_at IS NULL;
-- 8
SELECT g.id, g.title, g.description, g.category_id, g.tags, g.status, g.version, g.rating_version, g.rating, g.review_count, g.created_at, g.updated_at, g.seller_id, s.username, s.version AS seller_version, s.buyer_count, s.buyer_rating_sum, ( SELECT coalesce(json_agg(json_build_object( 'id', p.id, 'title', p.title, 'description', p.description, 'price', p.price::text, 'delivery_days', p.delivery_days, 'features', p.features, 'revisions', p.revisions ) ORDER BY p.position), '[]') FROM packages AS p WHERE p.gig_id = g.id ) AS packages, ( SELECT coalesce(json_agg(json_build_object( 'id', i.id, 'key', i.key, 'thumbnail_key', i.thumbnail_key, 'is_primary', i.is_primary ) ORDER BY i.position), '[]') FROM images AS i WHERE i.gig_id = g.id ) AS images FROM gigs AS g JOIN sellers AS s ON s.id = g.seller_id WHERE g.id = $1 AND g.deleted_at IS NULL;
-- 9
COMMIT;

-- UpdateGig (messages: 11, statements: 12)
-- 1
SELECT id FROM categories WHERE id = $1;
-- 2
BEGIN;
SELECT id FROM gigs WHERE id = $1 FOR UPDATE;
-- 3
SELECT id, seller_id, status, version, array(SELECT p.id FROM packages AS p WHERE p.gig_id = gigs.id ORDER BY p.position) AS package_ids, array(SELECT i.id FROM images AS i WHERE i.gig_id = gigs.id ORDER BY i.position) AS image_ids FROM gigs WHERE id = $1 AND deleted_at IS NULL;
-- 4
INSERT INTO "sellers" ("id", "username", "version", "buyer_count", "buyer_rating_sum") VALUES (%s, %s, %s, %s, %s) ON CONFLICT ("id") DO UPDATE SET "username" = EXCLUDED."username", "version" = ("sellers"."version" + %s) WHERE ((EXCLUDED."username" != %s) AND (EXCLUDED."username" != "sellers"."username")) RETURNING "sellers"."id";
-- 5
SELECT app_now() AS now;
-- 6
UPDATE "gigs" SET "title" = %s, "description" = %s, "category_id" = %s, "tags" = %s, "version" = ("gigs"."version" + %s), "updated_at" = %s WHERE ("gigs"."id" = %s);
-- 7
DELETE FROM search_rows WHERE gig_id = $1;
-- 8
INSERT INTO search_rows (package_id, gig_id, seller_id, status, category_id, section_id, price, delivery_days, rating, review_count, created_at) SELECT p.id, g.id, g.seller_id, g.status, g.category_id, coalesce(c.parent_id, c.id), p.price, p.delivery_days, g.rating, g.review_count, g.created_at FROM gigs AS g JOIN packages AS p ON p.gig_id = g.id JOIN categories AS c ON c.id = g.category_id WHERE g.id = $1 AND g.deleted_at IS NULL;
-- 9
INSERT INTO words (word) SELECT DISTINCT word FROM gigs, regexp_split_to_table( search_text(concat_ws(' ', title, array_to_string(tags, ' '), description)), ' ' ) AS word WHERE id = $1 AND length(word) BETWEEN 3 AND 40 ORDER BY word ON CONFLICT DO NOTHING;
-- 10
SELECT g.id, g.title, g.description, g.category_id, g.tags, g.status, g.version, g.rating_version, g.rating, g.review_count, g.created_at, g.updated_at, g.seller_id, s.username, s.version AS seller_version, s.buyer_count, s.buyer_rating_sum, ( SELECT coalesce(json_agg(json_build_object( 'id', p.id, 'title', p.title, 'description', p.description, 'price', p.price::text, 'delivery_days', p.delivery_days, 'features', p.features, 'revisions', p.revisions ) ORDER BY p.position), '[]') FROM packages AS p WHERE p.gig_id = g.id ) AS packages, ( SELECT coalesce(json_agg(json_build_object( 'id', i.id, 'key', i.key, 'thumbnail_key', i.thumbnail_key, 'is_primary', i.is_primary ) ORDER BY i.position), '[]') FROM images AS i WHERE i.gig_id = g.id ) AS images FROM gigs AS g JOIN sellers AS s ON s.id = g.seller_id WHERE g.id = $1 AND g.deleted_at IS NULL;
-- 11
COMMIT;

-- UpdateImage (messages: 12, statements: 13)
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
DELETE FROM search_rows WHERE gig_id = $1;
-- 10
INSERT INTO search_rows (package_id, gig_id, seller_id, status, category_id, section_id, price, delivery_days, rating, review_count, created_at) SELECT p.id, g.id, g.seller_id, g.status, g.category_id, coalesce(c.parent_id, c.id), p.price, p.delivery_days, g.rating, g.review_count, g.created_at FROM gigs AS g JOIN packages AS p ON p.gig_id = g.id JOIN categories AS c ON c.id = g.category_id WHERE g.id = $1 AND g.deleted_at IS NULL;
-- 11
SELECT g.id, g.title, g.description, g.category_id, g.tags, g.status, g.version, g.rating_version, g.rating, g.review_count, g.created_at, g.updated_at, g.seller_id, s.username, s.version AS seller_version, s.buyer_count, s.buyer_rating_sum, ( SELECT coalesce(json_agg(json_build_object( 'id', p.id, 'title', p.title, 'description', p.description, 'price', p.price::text, 'delivery_days', p.delivery_days, 'features', p.features, 'revisions', p.revisions ) ORDER BY p.position), '[]') FROM packages AS p WHERE p.gig_id = g.id ) AS packages, ( SELECT coalesce(json_agg(json_build_object( 'id', i.id, 'key', i.key, 'thumbnail_key', i.thumbnail_key, 'is_primary', i.is_primary ) ORDER BY i.position), '[]') FROM images AS i WHERE i.gig_id = g.id ) AS images FROM gigs AS g JOIN sellers AS s ON s.id = g.seller_id WHERE g.id = $1 AND g.deleted_at IS NULL;
-- 12
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
UPDATE "packages" SET "title" = %s, "description" = %s, "price" = %s, "delivery_days" = %s, "features" = %s, "revisions" = %s WHERE ("packages"."id" = %s);
-- 5
SELECT app_now() AS now;
-- 6
UPDATE "gigs" SET "version" = ("gigs"."version" + %s), "updated_at" = %s WHERE ("gigs"."id" = %s);
-- 7
DELETE FROM search_rows WHERE gig_id = $1;
-- 8
INSERT INTO search_rows (package_id, gig_id, seller_id, status, category_id, section_id, price, delivery_days, rating, review_count, created_at) SELECT p.id, g.id, g.seller_id, g.status, g.category_id, coalesce(c.parent_id, c.id), p.price, p.delivery_days, g.rating, g.review_count, g.created_at FROM gigs AS g JOIN packages AS p ON p.gig_id = g.id JOIN categories AS c ON c.id = g.category_id WHERE g.id = $1 AND g.deleted_at IS NULL;
-- 9
SELECT g.id, g.title, g.description, g.category_id, g.tags, g.status, g.version, g.rating_version, g.rating, g.review_count, g.created_at, g.updated_at, g.seller_id, s.username, s.version AS seller_version, s.buyer_count, s.buyer_rating_sum, ( SELECT coalesce(json_agg(json_build_object( 'id', p.id, 'title', p.title, 'description', p.description, 'price', p.price::text, 'delivery_days', p.delivery_days, 'features', p.features, 'revisions', p.revisions ) ORDER BY p.position), '[]') FROM packages AS p WHERE p.gig_id = g.id ) AS packages, ( SELECT coalesce(json_agg(json_build_object( 'id', i.id, 'key', i.key, 'thumbnail_key', i.thumbnail_key, 'is_primary', i.is_primary ) ORDER BY i.position), '[]') FROM images AS i WHERE i.gig_id = g.id ) AS images FROM gigs AS g JOIN sellers AS s ON s.id = g.seller_id WHERE g.id = $1 AND g.deleted_at IS NULL;
-- 10
COMMIT;
