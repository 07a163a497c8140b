"""The edge's Lua scripts in this process, in LuaJIT as in Envoy, without Envoy."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from lupa.luajit21 import LuaRuntime  # type: ignore[import-untyped]

from edge.bootstrap import GENERATED, TEMPLATES


class Scripts:
    """A LuaJIT that finds the edge's modules, and `fake_handle`. Its strings are bytes."""

    def __init__(self) -> None:
        self._lua = LuaRuntime(encoding=None)
        self._lua.globals()[b"package"][b"path"] = ";".join(
            f"{folder}/?.lua" for folder in (TEMPLATES, GENERATED / "envoy", Path(__file__).parent)
        ).encode()

    def module(self, name: str) -> Any:
        """Return a module's table."""
        return self._lua.require(name.encode())

    def run(self, source: str) -> Any:
        """Run a script and return its result."""
        return self._lua.execute(source.encode())

    def set_messages(self, fields: dict[bytes, Any]) -> None:
        """Replace the table of messages; before `module`. A message is a table of fields by name."""
        self._lua.globals()[b"package"][b"loaded"][b"messages"] = self._lua.table_from(fields, recursive=True)
