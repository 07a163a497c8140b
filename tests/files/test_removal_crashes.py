"""A process that dies while it removes files leaves each of them whole, or gone and due to be deleted."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest

from order_service.domain.file import FileLabel
from order_service.store.store import Store
from servicekit.crash import STATUS
from servicekit.database import Database, Statement
from servicekit.ids import new_id
from tests.support.files import OWNER_ID
from tests.support.postgres import ROOT, url_of

KEY = f"3f/{'3f' * 16}"
AGE_ALL = Statement("UPDATE files SET created_at = created_at - interval '2 days' RETURNING id")
DELETIONS = Statement("SELECT payload -> 'keys' AS keys FROM outbox WHERE topic = 'files'")

SETUP = """
import os
from pathlib import Path
from uuid import UUID
from order_service.events.unsent_files import remove_unsent
from order_service.files.storage import FILES
from order_service.personal_data import OrderUserData
from order_service.store.store import Store
from servicekit.database import Database
from servicekit.progress import Progress
from servicekit.storage.folder import FolderStorage
database = Database(os.environ["URL"])
"""
REMOVALS = {
    "unsent files": "remove_unsent(Store(database))",
    "erase files": f"""
data = OrderUserData(database, FolderStorage(Path("/nowhere"), FILES), None)
next(data.erase(UUID("{OWNER_ID}"), [], Progress()))
""",
}


def remove(database: Database, name: str, crash_at: str = "") -> int:
    """Run a removal in a process of its own, and return its status."""
    environment = {
        **os.environ,
        "PYTHONPATH": f"{ROOT}:{ROOT / 'generated'}",
        "URL": url_of(database),
        "CRASH_AT": crash_at,
    }
    return subprocess.run([sys.executable, "-c", SETUP + REMOVALS[name]], env=environment, check=False).returncode


@pytest.mark.parametrize("name", REMOVALS)
@pytest.mark.parametrize(("when", "is_removed"), [("commit", False), ("committed", True)])
def test_a_removal_that_was_cut_off_is_whole_or_not_begun(
    order_database: Database, name: str, when: str, is_removed: bool
) -> None:
    store = Store(order_database)
    with store.transaction("file"):
        store.files.add(FileLabel(new_id(), "plan.txt", 5, "text/plain"), OWNER_ID, KEY)
    order_database.fetch_all(AGE_ALL)

    assert remove(order_database, name, f"{name}:{when}") == STATUS

    assert len(list(store.files.all())) == int(not is_removed)
    assert [row["keys"] for row in order_database.fetch_all(DELETIONS)] == ([[KEY]] if is_removed else [])

    assert remove(order_database, name) == 0
    assert not list(store.files.all())
    assert [row["keys"] for row in order_database.fetch_all(DELETIONS)] == [[KEY]]
