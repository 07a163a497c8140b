"""The end of a console command that checks or repairs data: its exit status, and what it says when it has failed.

0 and 1 are the command's own: 1 says that there was something to report. 2 says that it could not be done.
"""

from __future__ import annotations

import sys
import traceback
from collections.abc import Callable

from servicekit.errors import MarketplaceError
from servicekit.progress import ShownProgress

FAILED = 2
INTERRUPTED = 130


def run_command(work: Callable[[ShownProgress], int], *, failed: str, interrupted: str) -> int:
    """Return the status of the work, which shows its progress; print an error after `failed`.

    `interrupted` is printed after Ctrl-C: what the same command will do when it is run again.
    """
    progress = ShownProgress()
    try:
        return work(progress)
    except (MarketplaceError, OSError) as error:
        progress.end()
        print(f"{failed}: {str(error.__cause__ or error).strip()}", file=sys.stderr)
        return FAILED
    except KeyboardInterrupt:
        progress.end()
        print(f"Interrupted. {interrupted}", file=sys.stderr)
        return INTERRUPTED
    except Exception:
        # Python's own status for this is 1.
        traceback.print_exc()
        return FAILED
    finally:
        progress.end()
