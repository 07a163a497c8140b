"""`python -m servicekit.outbox URL`: show a service's outbox, and send parked rows again."""

import argparse
import os
import sys

from servicekit.database import Database
from servicekit.outbox.console import RETRY_HELP, Retry, administer

VARIABLE = "OUTBOX_DATABASE_URL"


def main() -> int:
    """Run the command. Returns its exit status: 1 without such a parked row, 2 when the outbox cannot be read."""
    parser = argparse.ArgumentParser(
        prog="python -m servicekit.outbox",
        description="Show the rows of a service's outbox: waiting ones, and parked ones, which their receiver refuses.",
    )
    parser.add_argument(
        "url",
        metavar="URL",
        nargs="?",
        default=os.environ.get(VARIABLE),
        help=f"the service's database, a libpq URL; {VARIABLE} by default, which other users of the machine cannot see",
    )
    parser.add_argument("--retry", metavar="ID|all", type=Retry.parse, help=RETRY_HELP)
    arguments = parser.parse_args()
    if not arguments.url:
        parser.error(f"give the URL of a service's database, or set {VARIABLE}")
    return administer({"outbox": Database(arguments.url)}, arguments.retry, "--retry ID or --retry all sends it again")


if __name__ == "__main__":
    sys.exit(main())
