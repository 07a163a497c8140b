"""Requests that schemathesis derives from /openapi.json: the running marketplace answers each as the document says."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.support.stack import ROOT, Stack

# These checks are run by tests/support/openapi_hooks.py, with what is excluded from them.
RUN_BY_HOOKS = "positive_data_acceptance,negative_data_rejection"
# A stream of events has no end to wait for, and ListEvents waits for up to half a minute.
WITHOUT_END = ("WatchSse", "WatchOrderSse", "ListEvents")


@pytest.mark.timeout(300)
def test_every_request_is_answered_as_the_document_says(stack: Stack, tmp_path: Path) -> None:
    tokens = {role: stack.token(f"openapi-{role}", role) for role in ("seller", "buyer", "admin")}
    command = [str(Path(sys.executable).with_name("schemathesis")), "run", f"{stack.url}/openapi.json"]
    command += ["--checks", "all", "--exclude-checks", RUN_BY_HOOKS, "--workers", "2", "--continue-on-failure"]
    command += ["--max-examples", os.environ.get("OPENAPI_EXAMPLES", "3"), "--no-shrink", "--seed", "1"]
    command += [part for each in WITHOUT_END for part in ("--exclude-operation-id", each)]
    environment = {
        **os.environ,
        "OPENAPI_TOKENS": json.dumps(tokens),
        "PYTHONPATH": f"{ROOT}:{ROOT / 'generated'}",
        "SCHEMATHESIS_HOOKS": "tests.support.openapi_hooks",
    }

    result = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True, check=False)

    assert result.returncode == 0, result.stdout[-20_000:] + result.stderr[-2000:]
    assert "Tested: 50" in result.stdout
