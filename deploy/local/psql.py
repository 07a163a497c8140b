"""PostgreSQL's own terminal on a database of the stack: `make psql`."""

import os
import sys
from collections.abc import Sequence
from typing import NoReturn

from psycopg2.extensions import make_dsn, parse_dsn

from deploy.local import postgres
from deploy.local.control import process_states
from deploy.local.environment import database_urls
from deploy.local.layout import Layout
from deploy.local.output import say
from deploy.local.settings import StackSettings


def open_psql(settings: StackSettings, service: str, arguments: Sequence[str]) -> int:
    """Become psql on a service's database, as the role that owns it; return 1 when no stack is running.

    psql is the embedded PostgreSQL's. Only the user who runs the stack gets in.
    """
    layout = Layout.of(settings.data_dir)
    if service in settings.database_urls or process_states(layout.supervisor_socket) is not None:
        _become_psql(service, database_urls(settings, layout)[service], arguments)
    say(f"no stack is running on {settings.data_dir}")
    return 1


def _become_psql(service: str, url: str, arguments: Sequence[str]) -> NoReturn:
    # The command line of a process is visible to every user of the machine, its environment is not.
    parameters = parse_dsn(url)
    password = parameters.pop("password", None)
    environment = {**os.environ, **({"PGPASSWORD": password} if password else {})}
    if sys.stdin.isatty() and not arguments:
        say(f"Database of {service}: {parameters.get('dbname', '')}. \\dt lists the tables, \\q ends.")
    program = str(postgres.programs() / "psql")
    os.execve(program, [program, *arguments, "-d", make_dsn(**parameters)], environment)
