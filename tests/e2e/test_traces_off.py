"""Without a receiver of traces nothing of OpenTelemetry is in a process; with one, it is."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from deploy.local.settings import StackSettings
from deploy.local.trace import Query, trace
from tests.support.eventually import eventually
from tests.support.ports import free_ports
from tests.support.stack import Stack

MODULES = {"review-0": "review_service", "order-events": "order_service.events"}


class _Worker:
    """A process of the stack's once more, on ports of its own, which writes down what it imports."""

    def __init__(self, stack: Stack, name: str, output: Path, endpoint: str = "") -> None:
        rpc, metrics = free_ports(2)
        own = json.loads((stack.layout.environments / f"{name}.json").read_text())
        own |= {"LISTEN": f"127.0.0.1:{rpc}", "METRICS_LISTEN": f"127.0.0.1:{metrics}"}
        own |= {"OTEL_EXPORTER_OTLP_ENDPOINT": endpoint, "PYTHONPROFILEIMPORTTIME": "1"}
        self._output = output
        with output.open("wb") as file:
            self._process = subprocess.Popen(
                [sys.executable, "-m", MODULES[name]], cwd=stack.data_dir, env=own, stdout=file, stderr=file
            )

    def imported(self) -> set[str]:
        """Wait until it serves, stop it, and return the names of the modules that it has imported."""
        try:
            eventually(lambda: '"serving"' in self._output.read_text() or self._process.poll() is not None)
        finally:
            self._process.terminate()
            self._process.wait(20)
        text = self._output.read_text()
        assert '"serving"' in text, text[-2000:]
        return {line.rpartition("|")[2].strip() for line in text.splitlines() if "import time:" in line}


def test_a_process_imports_opentelemetry_only_when_it_sends_traces(stack: Stack, tmp_path: Path) -> None:
    workers = {
        "a worker": _Worker(stack, "review-0", tmp_path / "1"),
        "an asynchronous process": _Worker(stack, "order-events", tmp_path / "2"),
        "a worker with traces": _Worker(stack, "review-0", tmp_path / "3", "http://127.0.0.1:1"),
    }

    imported = {name: worker.imported() for name, worker in workers.items()}

    assert all("servicekit.spans" in modules for modules in imported.values())
    with_it = {name for name, modules in imported.items() if any("opentelemetry" in module for module in modules)}
    assert with_it == {"a worker with traces"}


def test_envoy_has_nothing_of_traces_either(stack: Stack) -> None:
    assert "opentelemetry" not in stack.layout.envoy_config.read_text()


def test_make_trace_says_that_the_stack_keeps_no_traces(
    stack: Stack, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert trace(StackSettings(data_dir=stack.data_dir), Query()) == 1
    assert capsys.readouterr().out == "this stack keeps no traces. Stop it, and start it with: make run TRACES=on\n"

    assert trace(StackSettings(data_dir=tmp_path / "none"), Query()) == 1
    assert capsys.readouterr().out.startswith(
        f"no stack is running on {tmp_path / 'none'}. Start one that keeps traces"
    )
