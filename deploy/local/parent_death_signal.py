"""`python parent_death_signal.py SIGNAL command...`: become the command, with a parent-death signal set.

Every part of the stack is started through it, so that none outlives supervisord, however that ends. It costs a few
milliseconds: it runs as a file, isolated and without site-packages.
"""

import ctypes
import os
import signal
import sys

_PR_SET_PDEATHSIG = 1


def main() -> None:
    """Set the signal and execute the command. Arguments: the signal's name, then the command and its arguments."""
    parent = os.getppid()
    if ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.Signals[sys.argv[1]], 0, 0, 0) or os.getppid() != parent:
        sys.exit("supervisord has ended")
    os.execv(sys.argv[2], sys.argv[2:])  # noqa: S606


if __name__ == "__main__":
    main()
