"""The README's table of all settings: `python -m deploy.settings_table README.md` writes it between its two marks."""

import sys
from collections.abc import Iterator
from pathlib import Path

from pydantic.fields import FieldInfo
from pydantic_core import PydanticUndefined
from pydantic_settings import BaseSettings

from deploy.local.settings import StackSettings
from edge.settings import EdgeSettings
from gig_service.settings import ImageSettings
from gig_service.settings import Settings as GigSettings
from order_service.settings import EventSettings
from order_service.settings import Settings as OrderSettings
from review_service.settings import Settings as ReviewSettings

# In the order of the table. A variable of several classes has one row, by the first of them.
SETTINGS_CLASSES: list[type[BaseSettings]] = [
    StackSettings,
    EdgeSettings,
    GigSettings,
    ImageSettings,
    OrderSettings,
    EventSettings,
    ReviewSettings,
]
BEGIN, END = "<!-- settings:begin -->\n", "<!-- settings:end -->\n"
HEAD = "| variable | default | meaning |\n|---|---|---|\n"


def variables() -> list[str]:
    """Return the name of every environment variable that is a setting, in the order of the table."""
    return list(_rows())


def with_table(page: str) -> str:
    """Return the page with the current table between its marks. Raises ValueError when it has no marks."""
    before, rest = page.split(BEGIN)
    _, after = rest.split(END)
    return before + BEGIN + HEAD + "".join(_rows().values()) + END + after


def _rows() -> dict[str, str]:
    rows: dict[str, str] = {}
    for name, field in _fields():
        rows.setdefault(name, _row(name, field))
    return rows


def _fields() -> Iterator[tuple[str, FieldInfo]]:
    for settings in SETTINGS_CLASSES:
        for name, field in settings.model_fields.items():
            yield name.upper(), field


def _row(name: str, field: FieldInfo) -> str:
    has_default = field.default is not PydanticUndefined and field.default is not None
    default = f"`{field.default}`" if has_default else ""
    return f"| `{name}` | {default} | {field.description} |\n"


def main() -> None:
    """Write the table into the file that the command line names."""
    path = Path(sys.argv[1])
    path.write_text(with_table(path.read_text()))


if __name__ == "__main__":
    main()
