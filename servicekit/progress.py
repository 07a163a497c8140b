"""The progress of a long command, on stderr: one line that changes on a terminal, else a line every ten seconds."""

from __future__ import annotations

import sys
import time
from typing import TextIO

TERMINAL_SECONDS = 0.5
LOG_SECONDS = 10.0


class Progress:
    """Counts the things that a long command has done. This class shows nothing; ShownProgress does."""

    def __init__(self) -> None:
        self.done = 0
        self.total = 0
        self.name = ""

    def begin(self, total: int, name: str) -> None:
        """Begin with a part of the work, of `total` things that have a name."""
        self.done, self.total, self.name = 0, total, name
        self._show()

    def advance(self, number: int) -> None:
        """Count things that are done."""
        self.done += number
        self._show()

    def end(self) -> None:
        """End the work."""

    def _show(self) -> None:
        pass


class ShownProgress(Progress):
    """Progress that is written to a stream, stderr by default."""

    def __init__(self, stream: TextIO = sys.stderr) -> None:
        super().__init__()
        self._stream = stream
        self._is_terminal = stream.isatty()
        self._began = self._shown = time.monotonic()

    def end(self) -> None:
        """End the work; remove the line from a terminal."""
        if self._is_terminal:
            self._stream.write("\r\x1b[K")
            self._stream.flush()

    def _show(self) -> None:
        now = time.monotonic()
        if now - self._shown < (TERMINAL_SECONDS if self._is_terminal else LOG_SECONDS):
            return
        self._shown = now
        text = f"{self.done:,} of {max(self.done, self.total):,} {self.name}, {now - self._began:.0f} s"
        self._stream.write(f"\r\x1b[K{text}" if self._is_terminal else f"{text}\n")
        self._stream.flush()
