"""The files of the page `/docs`, and `/openapi.json`: what Envoy serves, from where, with which headers.

Swagger UI comes from the package swagger-ui-py, so the page needs nothing from elsewhere.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from importlib.metadata import distribution
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
PAGE = ROOT / "envoy" / "docs"
OPENAPI = ROOT / "generated" / "openapi.json"

# The page runs its own scripts alone, and talks to its own origin alone. Swagger UI's styles have pictures in `data:`.
PAGE_POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; "
    "connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)
# Files change with a release only; a browser asks again with the `ETag` after a while.
CACHE_CONTROL = "public, max-age=300"
_SCRIPT = "text/javascript; charset=utf-8"
_STYLE = "text/css; charset=utf-8"


@dataclass(frozen=True)
class DocsFile:
    """A file, and the paths at which it is served: they end with its name, or, for the page, with a folder's."""

    source: Path
    paths: tuple[str, ...]
    content_type: str

    @property
    def etag(self) -> str:
        """Return the entity tag of the content."""
        return f'"{hashlib.sha256(self.source.read_bytes()).hexdigest()[:16]}"'

    @property
    def headers(self) -> dict[str, str]:
        """Return the headers of a 200 and of a 304 beside those of the content."""
        policy = PAGE_POLICY if self.content_type.startswith("text/html") else "default-src 'none'; sandbox"
        return {
            "etag": self.etag,
            "cache-control": CACHE_CONTROL,
            "content-security-policy": policy,
            "x-content-type-options": "nosniff",
        }

    def prefix_of(self, path: str) -> str:
        """Return the part of one of its paths that stands for the folder of the file."""
        return path.removesuffix(self.source.name)


def docs_files() -> list[DocsFile]:
    """Return the files of the page and the document. Raises PackageNotFoundError without swagger-ui-py."""
    # Its modules are not imported: they are for web frameworks.
    swagger = Path(str(distribution("swagger-ui-py").locate_file("swagger_ui/static")))
    page = DocsFile(PAGE / "index.html", ("/docs", "/docs/"), "text/html; charset=utf-8")
    return [DocsFile(OPENAPI, ("/openapi.json",), "application/json"), page] + [
        DocsFile(source, (f"/docs/{source.name}",), content_type)
        for source, content_type in (
            (PAGE / "page.css", _STYLE),
            (PAGE / "init.js", _SCRIPT),
            (swagger / "swagger-ui.css", _STYLE),
            (swagger / "swagger-ui-bundle.js", _SCRIPT),
            (swagger / "favicon-32x32.png", "image/png"),
        )
    ]
