"""`python tied.py SIGNAL command...`: become the command, and get the signal when the parent dies.

Put before every part of the stack, so that none outlives the supervisor, however that ends. Costs a few milliseconds:
it is run as a file, isolated and without site-packages.
"""

import ctypes
import os
import signal
import sys

_PR_SET_PDEATHSIG = 1


def main() -> None:
    """Arguments: the signal's name, then the command and its arguments."""
    parent = os.getppid()
    if ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.Signals[sys.argv[1]], 0, 0, 0) or os.getppid() != parent:
        sys.exit("the supervisor is gone")
    os.execv(sys.argv[2], sys.argv[2:])  # noqa: S606


if __name__ == "__main__":
    main()
