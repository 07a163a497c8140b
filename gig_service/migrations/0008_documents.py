"""The service itself analyses the texts of gigs; `gigs.document` is a plain column.

Gigs from before are analysed anew in the background (`gig_service/store/documents.py`), and are found by their old
documents until then. A worker of an older version writes no document: the trigger makes one as that version did, and
puts the gig among those to analyse.
"""

from typing import Any

# Listing a million gigs takes seconds. It comes before the change of the table, which stops all writers.
LIST = """
CREATE TABLE gigs_to_analyse (gig_id uuid PRIMARY KEY);
INSERT INTO gigs_to_analyse SELECT id FROM gigs WHERE deleted_at IS NULL;
ALTER TABLE words
    -- About how many gigs have the word; 0 before the first of them is analysed.
    ADD COLUMN gigs integer NOT NULL DEFAULT 0;
"""

CHANGE = """
ALTER TABLE gigs ALTER COLUMN document DROP EXPRESSION;

CREATE FUNCTION analyse_later() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF tg_op = 'INSERT' THEN
        IF new.document IS NOT NULL THEN
            RETURN new;
        END IF;
    ELSIF new.document IS DISTINCT FROM old.document
        OR (new.title, new.tags, new.description) IS NOT DISTINCT FROM (old.title, old.tags, old.description)
    THEN
        RETURN new;
    END IF;
    new.document = gig_document(new.title, new.tags, new.description);
    INSERT INTO gigs_to_analyse VALUES (new.id) ON CONFLICT DO NOTHING;
    RETURN new;
END $$;
CREATE TRIGGER gigs_analyse_later BEFORE INSERT OR UPDATE OF title, tags, description ON gigs
    FOR EACH ROW EXECUTE FUNCTION analyse_later();

-- The gigs that were being created when the others were listed. Ids grow with time.
INSERT INTO gigs_to_analyse
SELECT id FROM gigs WHERE deleted_at IS NULL AND id >= coalesce(
    (SELECT gig_id FROM gigs_to_analyse ORDER BY gig_id DESC OFFSET 1000 LIMIT 1),
    '00000000-0000-0000-0000-000000000000'
) ON CONFLICT DO NOTHING;
"""


def up(_migrator: Any, db: Any) -> None:
    """Apply the migration; servicekit.migrations calls this in a transaction."""
    db.execute_sql(LIST)
    db.execute_sql(CHANGE)
