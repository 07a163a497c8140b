"""Bits of the words of each gig beside its sort keys, so that a search passes over gigs without its words.

A row without bits is looked up, as before: rows from before, which are given theirs in the background, and rows that an
older version writes. A trigger keeps the bits right, whichever version changes a text. Writes wait while the six
indexes are made: ten seconds for a million gigs.
"""

from typing import Any

UP = """
ALTER TABLE search_rows ADD COLUMN word_bits bit(256);

-- Three bits for each stem of more than two letters, by its hash; exact forms begin with a `=` and have none. All stems
-- of a search are in a gig only if all their bits are. `gig_service/domain/word_bits.py` makes the same.
CREATE FUNCTION word_bits(lexemes text[]) RETURNS bit(256) LANGUAGE sql IMMUTABLE STRICT PARALLEL SAFE
RETURN (
    SELECT coalesce(bit_or(B'1'::bit(256) >> get_byte(hash, place)), 0::bit(256))
    FROM unnest(lexemes) AS lexeme, decode(md5(lexeme), 'hex') AS hash, (VALUES (0), (1), (2)) AS places (place)
    WHERE length(lexeme) > 2 AND left(lexeme, 1) <> '='
);

CREATE FUNCTION change_word_bits() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    UPDATE search_rows SET word_bits = word_bits(tsvector_to_array(NEW.document)) WHERE gig_id = NEW.id;
    RETURN NULL;
END $$;
CREATE TRIGGER gigs_change_word_bits AFTER UPDATE OF title, tags, description, document ON gigs
    FOR EACH ROW WHEN (OLD.document IS DISTINCT FROM NEW.document) EXECUTE FUNCTION change_word_bits();

CREATE INDEX search_rows_without_bits ON search_rows (gig_id) WHERE word_bits IS NULL;
"""
SCOPES = {"all": "", "category": "category_id, ", "section": "section_id, "}
SORTS = {"rating": "rating, review_count, gig_id", "newest": "created_at, gig_id"}


def up(_migrator: Any, db: Any) -> None:
    """Apply the migration; servicekit.migrations calls this in a transaction."""
    db.execute_sql(UP)
    for scope, prefix in SCOPES.items():
        for sort, columns in SORTS.items():
            db.execute_sql(f"DROP INDEX search_gigs_{scope}_{sort}")
            db.execute_sql(
                f"CREATE INDEX search_gigs_{scope}_{sort} ON search_rows ({prefix}{columns}) INCLUDE (word_bits)"
                " WHERE status = 'ACTIVE' AND is_cheapest"
            )
