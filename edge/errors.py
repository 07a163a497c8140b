"""The error of a setting that Envoy's bootstrap cannot be rendered from."""

from __future__ import annotations


class BootstrapError(Exception):
    """A setting that cannot be rendered; the text names it and says why."""
