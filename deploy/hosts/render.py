"""The files of every host: `python -m deploy.hosts.render INVENTORY FOLDER` writes FOLDER/<host>/."""

from __future__ import annotations

import shlex
import sys
from pathlib import Path

from jinja2 import Environment, FileSystemLoader, StrictUndefined

from deploy.hosts.inventory import POSTGRES_PORT, Host, Inventory, load
from deploy.hosts.programs import postgres_folder, programs
from deploy.local.postgres import DATABASES

TEMPLATES = Path(__file__).parent / "templates"


def render(inventory: Inventory, host: Host) -> dict[str, str]:
    """Return the files of a host, by their names."""
    templates = Environment(
        loader=FileSystemLoader(TEMPLATES),
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
        autoescape=False,  # noqa: S701  # YAML, SQL and units; the values are checked by the inventory
    )
    values = {
        "inventory": inventory,
        "host": host,
        "databases": DATABASES.values(),
        "port": POSTGRES_PORT,
        "postgres_folder": postgres_folder(),
    }
    files = {
        name: templates.get_template(f"{name}.j2").render(values)
        for name in ("patroni.yml", "create.sql", "90-marketplace.conf")
    }
    for program in programs(inventory, host):
        files[f"{program.name}.env"] = "".join(f"{name}={value}\n" for name, value in program.environment.items())
        files[f"marketplace-{program.name}.service"] = templates.get_template("program.service.j2").render(
            **values,
            program=program,
            command=shlex.join(program.command),
            before=shlex.join(program.before),
            stop=shlex.join(program.stop),
        )
    return files


def write(inventory: Inventory, folder: Path) -> None:
    """Write the files of all hosts, each host's in a folder of its name. They contain passwords."""
    for host in inventory.hosts:
        target = folder / host.name
        target.mkdir(parents=True, exist_ok=True)
        for name, text in render(inventory, host).items():
            (target / name).touch(mode=0o640)
            (target / name).write_text(text)


def main() -> None:
    """Write the files. Ends with status 2 and a line for each mistake of the inventory."""
    if len(sys.argv) != 3:
        sys.exit(__doc__)
    try:
        inventory = load(Path(sys.argv[1]))
    except (OSError, ValueError) as error:
        print(error, file=sys.stderr)
        sys.exit(2)
    write(inventory, Path(sys.argv[2]))


if __name__ == "__main__":
    main()
