"""A fault in the edge's own scripts: Envoy would go on without them; a request must not."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from edge import bootstrap
from tests.support.edge import Edge, assert_refused

GIG = "/api/gigs/0190a000-0000-7000-8000-000000000001"


@pytest.mark.parametrize(
    ("script", "line", "path"),
    [
        ("request_headers.lua", "local function check_headers(handle)", "/api/categories"),
        ("request_body.lua", "function request_body.check(handle)", "/api/categories"),
        ("query.lua", "function query.check(text, parameters)", "/api/gigs?q=a"),
        ("response.lua", "local function unwrap(handle, name, created)", GIG),
        ("response.lua", "local function convert_error(handle, headers)", "/api/nothing"),
    ],
)
def test_a_fault_of_a_script_is_an_internal_error(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, script: str, line: str, path: str
) -> None:
    scripts = tmp_path / "envoy"
    shutil.copytree(bootstrap.TEMPLATES, scripts)
    text = (scripts / script).read_text()
    assert line in text
    (scripts / script).write_text(text.replace(line, f'{line}\n  error("upstream secret")'))
    monkeypatch.setattr(bootstrap, "TEMPLATES", scripts)
    edge = Edge()
    try:
        edge.start()
        with edge.client() as api:
            for _ in range(2):
                assert_refused(api.get(path), 500, "INTERNAL")
        assert "upstream secret" in edge.log.read_text()
    finally:
        edge.stop()
