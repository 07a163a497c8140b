"""The users whose accounts are erased, and the erasure of the messages of adjustments, which are part of the ledger."""

from typing import Any

from servicekit.erased_users import SCHEMA_1

LEDGER = """
-- Nothing of the ledger is changed but one thing: a message to an erased seller becomes '[erased]'.
CREATE OR REPLACE FUNCTION ledger_is_append_only() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF TG_OP = 'UPDATE' AND TG_TABLE_NAME = 'ledger_transactions' THEN
        IF to_jsonb(NEW) = to_jsonb(OLD) || '{"message": "[erased]"}' THEN
            RETURN NEW;
        END IF;
    END IF;
    RAISE EXCEPTION 'the ledger is append-only: %% is not for %%', TG_TABLE_NAME, TG_OP
        USING ERRCODE = 'integrity_constraint_violation';
END
$$;
"""


def up(_migrator: Any, db: Any) -> None:
    """Apply the migration; servicekit.migrations calls this in a transaction."""
    db.execute_sql(SCHEMA_1)
    db.execute_sql(LEDGER)
