"""Sellers, categories, gigs and packages, and the tables that searches read.

The role that runs this owns its database, or may create objects there. The two extensions are trusted ones, so it need
not be a superuser. Where a provider allows such a role no extensions, an administrator creates `pg_trgm` and `unaccent`
beforehand. The database's encoding is UTF-8.
"""

TABLES = """
create table sellers (
    id uuid primary key,
    username text not null,
    version bigint not null default 1,
    -- Of all reviews of all their gigs, deleted ones included.
    review_count integer not null default 0,
    rating_sum bigint not null default 0
);

create table categories (
    id uuid primary key,
    slug text not null unique,
    name text not null,
    parent_id uuid references categories,
    -- The order of the tree: each parent, then its children.
    position smallint not null unique
);

create table gigs (
    id uuid primary key,
    seller_id uuid not null references sellers,
    title text not null,
    description text not null,
    category_id uuid not null references categories,
    tags text[] not null,
    status text not null check (status in ('ACTIVE', 'PAUSED', 'SUSPENDED')),
    -- Grows with every change by its owner or an admin; If-Match asks for it.
    version integer not null default 1,
    created_at timestamptz not null,
    updated_at timestamptz not null,
    deleted_at timestamptz,
    -- What ReviewService last said, and the version of that.
    rating_version bigint not null default 0,
    review_count integer not null default 0,
    rating_sum bigint not null default 0,
    -- The rating that is shown.
    rating numeric(2, 1) not null default 0
);
create index gigs_tags on gigs using gin (tags);

create table packages (
    id uuid primary key,
    gig_id uuid not null references gigs,
    -- Grows in the order in which a gig's packages were added.
    position integer not null,
    title text not null,
    description text not null,
    price numeric(9, 2) not null check (price > 0),
    delivery_days smallint not null check (delivery_days > 0),
    features text[] not null,
    revisions smallint not null check (revisions >= 0),
    unique (gig_id, position)
);
"""

# One row a package of every gig that is not deleted, with the columns of its gig that filters and sorts need: "one and
# the same package" is then one row, and each order has an index that a page reads in its order.
SEARCH_ROWS = """
create table search_rows (
    package_id uuid primary key,
    gig_id uuid not null,
    seller_id uuid not null,
    status text not null,
    category_id uuid not null,
    -- The category at the top of the tree above category_id, or category_id itself.
    section_id uuid not null,
    price numeric(9, 2) not null,
    delivery_days smallint not null,
    rating numeric(2, 1) not null,
    review_count integer not null,
    created_at timestamptz not null
);
create index search_rows_gig on search_rows (gig_id, price, package_id);
create index search_rows_seller on search_rows (seller_id, status, created_at, gig_id);
"""
SORTS = {
    "rating": "rating, review_count, gig_id",
    "newest": "created_at, gig_id",
    "price": "price, gig_id",
}
SCOPES = {"all": "", "category": "category_id, ", "section": "section_id, "}

# Words are letters and digits, separated by everything else. Upper case and accents are ignored ({collation} knows the
# letters of all scripts, whatever the database's own locale), and 's, 'll and the like are no words. The stemmer is the
# English one without its list of stop words: a search leaves common words out, the documents keep them.
TEXT_SEARCH = r"""
create text search dictionary gig_stem (template = snowball, language = english);
create text search configuration gig_words (copy = english);
alter text search configuration gig_words alter mapping for asciiword, word with gig_stem;

create function search_text(value text) returns text language sql immutable strict parallel safe
return regexp_replace(
    regexp_replace(
        lower(unaccent('unaccent', value) collate {collation}), '''(s|t|d|m|ll|re|ve)\M' collate {collation}, ' ', 'g'
    ),
    '[^[:alnum:]]+' collate {collation}, ' ', 'g'
);

create function gig_document(title text, tags text[], description text) returns tsvector
language sql immutable strict parallel safe
return setweight(to_tsvector('gig_words', search_text(title)), 'A')
    || setweight(to_tsvector('gig_words', search_text(array_to_string(tags, ' '))), 'B')
    || setweight(to_tsvector('gig_words', search_text(description)), 'C');

alter table gigs add column document tsvector not null
    generated always as (gig_document(title, tags, description)) stored;
create index gigs_document on gigs using gin (document);

-- Every word that some gig has or had, for finding out what a misspelt one was meant to be.
create table words (word text primary key);
create index words_near on words using gist (word gist_trgm_ops);
"""

# Ordered by preference; the last one always exists.
COLLATIONS = ("pg_c_utf8", "C.utf8", "und-x-icu", "default")
COLLATION = """
select quote_ident(collname) from pg_collation
where collname = any (%s) and collencoding in (-1, pg_char_to_encoding('UTF8'))
order by array_position(%s, collname::text) limit 1
"""


def up(migrator, db):  # type: ignore[no-untyped-def]
    """Apply the migration; servicekit.migrations calls this in a transaction."""
    for extension in ("pg_trgm", "unaccent"):
        db.execute_sql(f"create extension if not exists {extension}")
    db.execute_sql(TABLES)
    db.execute_sql(SEARCH_ROWS)
    for scope, prefix in SCOPES.items():
        for sort, columns in SORTS.items():
            db.execute_sql(f"create index search_rows_{scope}_{sort} on search_rows (status, {prefix}{columns})")
    (collation,) = db.execute_sql(COLLATION, (list(COLLATIONS), list(COLLATIONS))).fetchone()
    db.execute_sql(TEXT_SEARCH.replace("{collation}", collation))
