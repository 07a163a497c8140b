"""Gigs in bulk for benchmarks of GigService's SQL, written by SQL alone: a million gigs with three packages in minutes.

Categories, prices, ratings and words are skewed: few categories have most gigs, prices are log-normal, and the
frequency of a word falls with its rank (Zipf). The texts of descriptions are drawn from a pool, titles are not.
"""

from __future__ import annotations

from gig_service.store.search_index import FILL
from servicekit.database import Database

VOCABULARY = 20_000
POOL = 5_000
TITLE_WORDS = 5
DESCRIPTION_WORDS = 45
BATCH = 50_000

# A word is drawn as `floor(exp(random() * ln(VOCABULARY)))`: the first 20,000 times as often as the last.
DRAWN = f"floor(exp(random() * ln({VOCABULARY})))::int"
WORDS = f"""
CREATE TEMP TABLE vocabulary AS
SELECT n, (
    SELECT string_agg(substr('bcdfghklmnprstvz', 1 + (n / (16 ^ place)::int) %% 16, 1)
        || substr('aeiou', 1 + (n / (5 ^ place)::int + place) %% 5, 1), '') || 'x'
    FROM generate_series(0, 3) AS place
) AS word
FROM generate_series(1, {VOCABULARY}) AS n;
CREATE TEMP TABLE tree AS SELECT id, row_number() OVER (ORDER BY md5(slug)) AS place FROM categories
    WHERE parent_id IS NOT NULL;
CREATE TEMP TABLE pool AS
SELECT n, text, setweight(to_tsvector('gig_words', text), 'C') AS document
FROM (
    SELECT drawn.n, string_agg(word, ' ') AS text
    FROM (SELECT n, {DRAWN} AS word_number FROM generate_series(1, {POOL}) AS n,
        generate_series(1, {DESCRIPTION_WORDS}) OFFSET 0) AS drawn
    JOIN vocabulary ON vocabulary.n = word_number GROUP BY drawn.n
) AS texts;
ANALYZE vocabulary; ANALYZE tree; ANALYZE pool;
"""  # noqa: S608  # constants of ours
SELLERS = """
INSERT INTO sellers (id, username, version, buyer_count, buyer_rating_sum)
SELECT md5('seller ' || n)::uuid, 'seller' || n, 1, n %% 15, n %% 15 * 5
FROM generate_series(0, greatest(%(gigs)s / 20, 1)) AS n ON CONFLICT DO NOTHING
"""
GIGS = f"""
INSERT INTO gigs (id, seller_id, title, description, category_id, tags, status, created_at, updated_at, rating_version,
    review_count, rating_sum, rating, document)
SELECT numbers.id, md5('seller ' || floor(greatest(%(gigs)s / 20, 1) * random() ^ 2))::uuid, title, pool.text, tree.id,
    tags, CASE WHEN numbers.n %% 50 = 49 THEN 'PAUSED' ELSE 'ACTIVE' END, at, at, reviews, reviews,
    reviews * stars / 10,
    stars / 10.0, setweight(to_tsvector('gig_words', title), 'A')
        || setweight(to_tsvector('simple', array_to_string(tags, ' ')), 'B') || pool.document
FROM (
    SELECT n, md5('gig ' || n)::uuid AS id, timestamptz '2025-01-01' + n * interval '20 s' AS at,
        {", ".join(f"{DRAWN} AS number_{place}" for place in range(TITLE_WORDS + 2))},
        1 + floor({POOL} * random())::int AS body, least(52, 1 + floor(exp(random() * ln(52)))::int) AS category,
        CASE WHEN n %% 3 = 0 THEN 0 ELSE floor(exp(random() * 6))::int END AS reviews,
        CASE WHEN n %% 3 = 0 THEN 0 ELSE 50 - floor(20 * random() ^ 3)::int END AS stars
    FROM generate_series(%(from)s, %(to)s) AS n
    OFFSET 0
) AS numbers JOIN pool ON pool.n = body JOIN tree ON tree.place = category
{"".join(f" JOIN vocabulary AS word_{place} ON word_{place}.n = number_{place}" for place in range(TITLE_WORDS + 2))}
CROSS JOIN LATERAL (SELECT
    concat_ws(' ', {", ".join(f"word_{place}.word" for place in range(TITLE_WORDS))}) AS title,
    ARRAY[{", ".join(f"word_{place}.word" for place in range(TITLE_WORDS, TITLE_WORDS + 2))}] AS tags
) AS texts
"""  # noqa: S608  # constants of ours
# The documents come from the pool and are not made of the texts; those of gigs that are created later are.
DOCUMENT = """
DO $$ BEGIN
    IF EXISTS (
        SELECT FROM pg_attribute WHERE attrelid = 'gigs'::regclass AND attname = 'document' AND attgenerated <> ''
    )
    THEN
        ALTER TABLE gigs ALTER COLUMN document DROP EXPRESSION;
        CREATE FUNCTION make_document() RETURNS trigger LANGUAGE plpgsql AS
            'BEGIN NEW.document := gig_document(NEW.title, NEW.tags, NEW.description); RETURN NEW; END';
        CREATE TRIGGER make_document BEFORE INSERT ON gigs FOR EACH ROW WHEN (NEW.document IS NULL)
            EXECUTE FUNCTION make_document();
    END IF;
END $$
"""
PACKAGES = """
INSERT INTO packages (id, gig_id, position, title, description, price, delivery_days, features, revisions)
SELECT md5('package ' || number || ' ' || n)::uuid, md5('gig ' || n)::uuid, number, 'Package', '',
    least(round((base * (0.6 + number * number * 0.4))::numeric), 100000), greatest(1, days + number * 2 - 2), '{}', 1
FROM (
    SELECT n, 5 + exp(random_normal(4, 1)) AS base, 1 + floor(exp(random() * 3.2))::int AS days
    FROM generate_series(%(from)s, %(to)s) AS n OFFSET 0
) AS numbers, generate_series(1, 3) AS number
"""


def load(database: Database, gigs: int) -> None:
    """Fill an empty database with gigs, and leave it analysed, with its indexes built anew."""
    rebuild = _drop_indexes(database)
    database.execute(DOCUMENT)
    database.execute(
        # The words of a gig are joined in the order written.
        "SET statement_timeout = 0; SET maintenance_work_mem = '512MB'; SET work_mem = '64MB';"
        "SET join_collapse_limit = 1; SELECT setseed(0.5)"
    )
    database.execute(WORDS)
    database.execute(SELLERS, {"gigs": gigs})
    for start in range(0, gigs, BATCH):
        span: dict[str, object] = {"gigs": gigs, "from": start, "to": min(start + BATCH, gigs) - 1}
        database.execute(GIGS, span)
        database.execute(PACKAGES, span)
    database.execute(FILL)
    for sql in rebuild:
        database.execute(sql)
    database.execute("RESET join_collapse_limit; RESET work_mem")
    database.execute("VACUUM ANALYZE")


def _drop_indexes(database: Database) -> list[str]:
    """Drop the indexes that no constraint needs, and return the statements that create them."""
    cursor = database.peewee.execute_sql("""
        SELECT pg_get_indexdef(indexrelid), indexrelid::regclass::text FROM pg_index
        WHERE indrelid IN ('gigs'::regclass, 'packages'::regclass, 'search_rows'::regclass) AND NOT indisunique
    """)
    definitions = cursor.fetchall()
    for _, name in definitions:
        database.execute(f"DROP INDEX {name}")
    return [definition for definition, _ in definitions]
