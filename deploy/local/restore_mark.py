"""The file that says that a DATA_DIR is being restored. A stack that started there would make empty databases."""

from pathlib import Path

from deploy.local.layout import Layout


def restore_mark(layout: Layout) -> Path:
    """Return the path of the file. It is there until a restore is complete."""
    return layout.data_dir / "restore.unfinished"
