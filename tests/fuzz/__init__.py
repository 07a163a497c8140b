"""Fuzzers of the running product: `python -m tests.fuzz NAME`, `make fuzz NAME=http`.

Each module of this package but `__main__` is a fuzzer, with one function `fuzz(stack, options) -> Result`. It stops by
itself after `options.seconds` or `options.inputs` inputs, and all its inputs follow from `options.seed`. The suite runs
each for a few hundred inputs; a run before a release takes ten minutes.
"""

from __future__ import annotations

import time
from dataclasses import dataclass, field


@dataclass
class Options:
    """The bounds of a run: it ends at the first that is reached."""

    seed: int = 0
    seconds: float = 600
    inputs: int = 1_000_000_000
    began: float = field(default_factory=time.monotonic)

    def is_over(self, inputs: int) -> bool:
        """Return whether a run that has sent so many inputs is at its end."""
        return inputs >= self.inputs or time.monotonic() - self.began >= self.seconds


@dataclass
class Result:
    """The result of a run: the inputs, the answers by kind (a status, `closed`, …), and a sentence a fault."""

    inputs: int = 0
    answers: dict[str, int] = field(default_factory=dict)
    faults: list[str] = field(default_factory=list)

    def count(self, answer: object) -> None:
        """Count one input and the kind of its answer."""
        self.inputs += 1
        self.answers[str(answer)] = self.answers.get(str(answer), 0) + 1
