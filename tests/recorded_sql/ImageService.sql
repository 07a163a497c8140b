-- UploadImages (messages: 14, statements: 15)
-- 1
SELECT id, seller_id, status, version, array(SELECT p.id FROM packages AS p WHERE p.gig_id = gigs.id ORDER BY p.position) AS package_ids, array(SELECT i.id FROM images AS i WHERE i.gig_id = gigs.id ORDER BY i.position) AS image_ids FROM gigs WHERE id = $1 AND deleted_at IS NULL;
-- 2
BEGIN;
SELECT id FROM gigs WHERE id = $1 FOR UPDATE;
-- 3
SELECT id, seller_id, status, version, array(SELECT p.id FROM packages AS p WHERE p.gig_id = gigs.id ORDER BY p.position) AS package_ids, array(SELECT i.id FROM images AS i WHERE i.gig_id = gigs.id ORDER BY i.position) AS image_ids FROM gigs WHERE id = $1 AND deleted_at IS NULL;
-- 4
INSERT INTO "sellers" ("id", "username", "version", "buyer_count", "buyer_rating_sum") VALUES (%s, %s, %s, %s, %s) ON CONFLICT ("id") DO UPDATE SET "username" = EXCLUDED."username", "version" = ("sellers"."version" + %s) WHERE ((EXCLUDED."username" != %s) AND (EXCLUDED."username" != "sellers"."username")) RETURNING "sellers"."id";
-- 5
SELECT id, key, thumbnail_key, is_primary FROM images WHERE gig_id = $1 ORDER BY position;
-- 6
SELECT coalesce(max(position), 0) AS last FROM images WHERE gig_id = $1;
-- 7
INSERT INTO "images" ("id", "gig_id", "position", "key", "thumbnail_key", "is_primary") VALUES (%s, %s, %s, %s, %s, %s) RETURNING "images"."id";
-- 8
UPDATE "images" SET "is_primary" = %s WHERE ((("images"."gig_id" = %s) AND "images"."is_primary") AND ("images"."id" != %s));
-- 9
UPDATE "images" SET "is_primary" = %s WHERE (("images"."id" = %s) AND NOT "images"."is_primary");
-- 10
SELECT app_now() AS now;
-- 11
UPDATE "gigs" SET "version" = ("gigs"."version" + %s), "updated_at" = %s, "thumbnail_key" = %s WHERE ("gigs"."id" = %s);
-- 12
WITH rows AS MATERIALIZED ( SELECT p.id AS package_id, g.id AS gig_id, g.seller_id, g.status, g.category_id, coalesce(c.parent_id, c.id) AS section_id, p.price, p.delivery_days, g.rating, g.review_count, g.created_at, row_number() OVER (PARTITION BY g.id ORDER BY p.price, p.id) = 1 AS is_cheapest, b.word_bits FROM gigs AS g CROSS JOIN LATERAL ( SELECT coalesce( (SELECT word_bits FROM search_rows WHERE gig_id = g.id AND word_bits IS NOT NULL LIMIT 1), word_bits(tsvector_to_array(g.document)) ) AS word_bits OFFSET 0 ) AS b JOIN packages AS p ON p.gig_id = g.id JOIN categories AS c ON c.id = g.category_id WHERE g.deleted_at IS NULL AND g.id = $1), gone AS ( DELETE FROM search_rows WHERE gig_id = $1 AND package_id NOT IN (SELECT package_id FROM rows) ) INSERT INTO search_rows AS stored (package_id, gig_id, seller_id, status, category_id, section_id, price, delivery_days, rating, review_count, created_at, is_cheapest, word_bits) SELECT * FROM rows ON CONFLICT (package_id) DO UPDATE SET (status, category_id, section_id, price, delivery_days, rating, review_count, is_cheapest, word_bits) = (excluded.status, excluded.category_id, excluded.section_id, excluded.price, excluded.delivery_days, excluded.rating, excluded.review_count, excluded.is_cheapest, excluded.word_bits) WHERE (stored.status, stored.category_id, stored.section_id, stored.price, stored.delivery_days, stored.rating, stored.review_count, stored.is_cheapest, stored.word_bits) IS DISTINCT FROM (excluded.status, excluded.category_id, excluded.section_id, excluded.price, excluded.delivery_days, excluded.rating, excluded.review_count, excluded.is_cheapest, excluded.word_bits);
-- 13
SELECT g.id, g.title, g.description, g.category_id, g.tags, g.status, g.version, g.rating_version, g.rating, g.review_count, g.created_at, g.updated_at, g.seller_id, s.username, s.version AS seller_version, s.buyer_count, s.buyer_rating_sum, ( SELECT coalesce(json_agg(json_build_object( 'id', p.id, 'title', p.title, 'description', p.description, 'price', p.price::text, 'delivery_days', p.delivery_days, 'features', p.features, 'revisions', p.revisions, 'extras', p.extras ) ORDER BY p.position), '[]') FROM packages AS p WHERE p.gig_id = g.id ) AS packages, ( SELECT coalesce(json_agg(json_build_object( 'id', i.id, 'key', i.key, 'thumbnail_key', i.thumbnail_key, 'is_primary', i.is_primary ) ORDER BY i.position), '[]') FROM images AS i WHERE i.gig_id = g.id ) AS images FROM gigs AS g JOIN sellers AS s ON s.id = g.seller_id WHERE g.id = $1 AND g.deleted_at IS NULL;
-- 14
COMMIT;

-- UploadImages: three pictures (messages: 14, statements: 15)
-- 1
SELECT id, seller_id, status, version, array(SELECT p.id FROM packages AS p WHERE p.gig_id = gigs.id ORDER BY p.position) AS package_ids, array(SELECT i.id FROM images AS i WHERE i.gig_id = gigs.id ORDER BY i.position) AS image_ids FROM gigs WHERE id = $1 AND deleted_at IS NULL;
-- 2
BEGIN;
SELECT id FROM gigs WHERE id = $1 FOR UPDATE;
-- 3
SELECT id, seller_id, status, version, array(SELECT p.id FROM packages AS p WHERE p.gig_id = gigs.id ORDER BY p.position) AS package_ids, array(SELECT i.id FROM images AS i WHERE i.gig_id = gigs.id ORDER BY i.position) AS image_ids FROM gigs WHERE id = $1 AND deleted_at IS NULL;
-- 4
INSERT INTO "sellers" ("id", "username", "version", "buyer_count", "buyer_rating_sum") VALUES (%s, %s, %s, %s, %s) ON CONFLICT ("id") DO UPDATE SET "username" = EXCLUDED."username", "version" = ("sellers"."version" + %s) WHERE ((EXCLUDED."username" != %s) AND (EXCLUDED."username" != "sellers"."username")) RETURNING "sellers"."id";
-- 5
SELECT id, key, thumbnail_key, is_primary FROM images WHERE gig_id = $1 ORDER BY position;
-- 6
SELECT coalesce(max(position), 0) AS last FROM images WHERE gig_id = $1;
-- 7
INSERT INTO "images" ("id", "gig_id", "position", "key", "thumbnail_key", "is_primary") VALUES (%s, %s, %s, %s, %s, %s), (%s, %s, %s, %s, %s, %s), (%s, %s, %s, %s, %s, %s) RETURNING "images"."id";
-- 8
UPDATE "images" SET "is_primary" = %s WHERE ((("images"."gig_id" = %s) AND "images"."is_primary") AND ("images"."id" != %s));
-- 9
UPDATE "images" SET "is_primary" = %s WHERE (("images"."id" = %s) AND NOT "images"."is_primary");
-- 10
SELECT app_now() AS now;
-- 11
UPDATE "gigs" SET "version" = ("gigs"."version" + %s), "updated_at" = %s, "thumbnail_key" = %s WHERE ("gigs"."id" = %s);
-- 12
WITH rows AS MATERIALIZED ( SELECT p.id AS package_id, g.id AS gig_id, g.seller_id, g.status, g.category_id, coalesce(c.parent_id, c.id) AS section_id, p.price, p.delivery_days, g.rating, g.review_count, g.created_at, row_number() OVER (PARTITION BY g.id ORDER BY p.price, p.id) = 1 AS is_cheapest, b.word_bits FROM gigs AS g CROSS JOIN LATERAL ( SELECT coalesce( (SELECT word_bits FROM search_rows WHERE gig_id = g.id AND word_bits IS NOT NULL LIMIT 1), word_bits(tsvector_to_array(g.document)) ) AS word_bits OFFSET 0 ) AS b JOIN packages AS p ON p.gig_id = g.id JOIN categories AS c ON c.id = g.category_id WHERE g.deleted_at IS NULL AND g.id = $1), gone AS ( DELETE FROM search_rows WHERE gig_id = $1 AND package_id NOT IN (SELECT package_id FROM rows) ) INSERT INTO search_rows AS stored (package_id, gig_id, seller_id, status, category_id, section_id, price, delivery_days, rating, review_count, created_at, is_cheapest, word_bits) SELECT * FROM rows ON CONFLICT (package_id) DO UPDATE SET (status, category_id, section_id, price, delivery_days, rating, review_count, is_cheapest, word_bits) = (excluded.status, excluded.category_id, excluded.section_id, excluded.price, excluded.delivery_days, excluded.rating, excluded.review_count, excluded.is_cheapest, excluded.word_bits) WHERE (stored.status, stored.category_id, stored.section_id, stored.price, stored.delivery_days, stored.rating, stored.review_count, stored.is_cheapest, stored.word_bits) IS DISTINCT FROM (excluded.status, excluded.category_id, excluded.section_id, excluded.price, excluded.delivery_days, excluded.rating, excluded.review_count, excluded.is_cheapest, excluded.word_bits);
-- 13
SELECT g.id, g.title, g.description, g.category_id, g.tags, g.status, g.version, g.rating_version, g.rating, g.review_count, g.created_at, g.updated_at, g.seller_id, s.username, s.version AS seller_version, s.buyer_count, s.buyer_rating_sum, ( SELECT coalesce(json_agg(json_build_object( 'id', p.id, 'title', p.title, 'description', p.description, 'price', p.price::text, 'delivery_days', p.delivery_days, 'features', p.features, 'revisions', p.revisions, 'extras', p.extras ) ORDER BY p.position), '[]') FROM packages AS p WHERE p.gig_id = g.id ) AS packages, ( SELECT coalesce(json_agg(json_build_object( 'id', i.id, 'key', i.key, 'thumbnail_key', i.thumbnail_key, 'is_primary', i.is_primary ) ORDER BY i.position), '[]') FROM images AS i WHERE i.gig_id = g.id ) AS images FROM gigs AS g JOIN sellers AS s ON s.id = g.seller_id WHERE g.id = $1 AND g.deleted_at IS NULL;
-- 14
COMMIT;
