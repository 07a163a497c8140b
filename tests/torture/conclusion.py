"""The end of a torture: what was counted, and each difference."""

from __future__ import annotations

import shutil
from collections.abc import Sequence
from pathlib import Path

from tests.torture.retries import Counts


def say(text: str) -> None:
    """Print a line at once."""
    print(text, flush=True)


def conclude(folder: Path, differences: Sequence[str], counts: Counts) -> int:
    """Print the end of a torture. Without a difference remove its folder. Return the exit status."""
    for name, number in sorted(counts.numbers.items()):
        say(f"  {name:<32} {number:>8,}")
    for difference in differences:
        say(f"DIFFERENCE {difference}")
    if differences:
        say(f"{len(differences)} differences; everything is left in {folder}")
        return 1
    say("no differences")
    shutil.rmtree(folder, ignore_errors=True)
    return 0
