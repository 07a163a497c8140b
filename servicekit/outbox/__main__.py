"""`python -m servicekit.outbox URL`: shows a service's outbox, and sends parked rows again."""

import argparse
import os
import sys

from servicekit.database import Database
from servicekit.outbox.console import RETRY_HELP, Retry, administer

VARIABLE = "OUTBOX_DATABASE_URL"


def main() -> int:
    """0 when all went well, 1 when there is no such parked row, 2 when the outbox could not be read."""
    parser = argparse.ArgumentParser(
        prog="python -m servicekit.outbox",
        description="Shows what waits in the outbox of a service and what is parked because its receiver refuses it.",
    )
    parser.add_argument(
        "url",
        metavar="URL",
        nargs="?",
        default=os.environ.get(VARIABLE),
        help=f"the service's database, a libpq URL; {VARIABLE} by default, which nobody else on the machine can see",
    )
    parser.add_argument("--retry", metavar="ID|all", type=Retry.parse, help=RETRY_HELP)
    arguments = parser.parse_args()
    if not arguments.url:
        parser.error(f"say the URL of a service's database, or set {VARIABLE}")
    return administer({"outbox": Database(arguments.url)}, arguments.retry, "--retry ID or --retry all sends it again")


if __name__ == "__main__":
    sys.exit(main())
