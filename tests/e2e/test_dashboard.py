"""The Grafana dashboard asks for metrics and labels that a running stack has, and Prometheus finds the stack."""

from __future__ import annotations

import json
import re
from collections import defaultdict
from collections.abc import Iterator
from typing import Any

import httpx
import promql_parser as promql
import pytest
from prometheus_client import REGISTRY

import review_service.worker  # noqa: F401  # the metrics of all processes
from deploy.local.scrape_config import scrape_config
from deploy.local.settings import StackSettings
from tests.support.stack import ROOT, Stack
from tests.support.story import Market, ok

DASHBOARD = json.loads((ROOT / "deploy" / "grafana" / "marketplace.json").read_text())
# Prometheus adds these to every sample.
OF_PROMETHEUS = {"job", "instance"}
SUFFIX = re.compile(r"_(bucket|sum|count)$")


def expressions() -> list[str]:
    """Return the queries of all panels, with values in place of Grafana's variables."""
    return [
        target["expr"].replace("$__rate_interval", "1m").replace("$method", ".*")
        for panel in DASHBOARD["panels"]
        for target in panel.get("targets", ())
    ]


def uses(node: Any) -> Iterator[tuple[str, set[str]]]:
    """Yield each metric of an expression, with the labels that the expression wants of it."""
    if isinstance(node, promql.VectorSelector):
        matchers = {matcher.name for matcher in node.matchers.matchers}
        yield str(node.name), matchers
    elif isinstance(node, promql.MatrixSelector):
        yield from uses(node.vector_selector)
    elif isinstance(node, promql.AggregateExpr):
        wanted = set(node.modifier.labels) if node.modifier else set()
        yield from ((name, labels | wanted) for name, labels in uses(node.expr))
    elif isinstance(node, promql.BinaryExpr):
        yield from uses(node.lhs)
        yield from uses(node.rhs)
    elif isinstance(node, promql.Call):
        for argument in node.args:
            yield from uses(argument)
    elif isinstance(node, (promql.ParenExpr, promql.UnaryExpr)):
        yield from uses(node.expr)
    elif not isinstance(node, promql.NumberLiteral):
        raise AssertionError(f"the test does not know {node!r}")


@pytest.fixture(scope="module")
def targets(stack: Stack) -> list[str]:
    """Return the URLs that Prometheus would scrape."""
    settings = StackSettings(
        port=stack.ports.edge, gig_workers=stack.workers, order_workers=stack.workers, review_workers=stack.workers
    )
    jobs = scrape_config(settings).split("- job_name: ")[1:]
    return [
        f"http://{target}{path}"
        for job in jobs
        for path in re.findall(r"metrics_path: (\S+)", job)
        for target in re.findall(r"'([\d.:]+)'", job)
    ]


@pytest.fixture(scope="module")
def metrics(stack: Stack, targets: list[str]) -> dict[str, set[str]]:
    """Return the labels of each metric of the stack, after a story that counts most of them."""
    market = Market.of(stack)
    gig = market.gig()
    market.review(market.completed(gig))
    picture = {"file": (ROOT / "docs" / "website.jpg").read_bytes()}
    ok(market.seller.post(f"/api/gigs/{gig['id']}/images", files=picture), 201)
    found: dict[str, set[str]] = defaultdict(set)
    for target in targets:
        for line in httpx.get(target).raise_for_status().text.splitlines():
            if kind := re.match(r"# TYPE (\S+) ", line):
                found[kind[1]] |= set()
            elif not line.startswith("#"):
                found[SUFFIX.sub("", line.partition("{")[0].partition(" ")[0])] |= set(
                    re.findall(r'[{,]([a-zA-Z_]\w*)="', line)
                )
    # A metric with labels has no sample before its first event.
    for each in REGISTRY._names_to_collectors.values():
        for sample in each.describe() if hasattr(each, "describe") else ():
            name = sample.name + ("_total" if sample.type == "counter" else "")
            if name in found and not found[name]:
                found[name] |= set(getattr(each, "_labelnames", ()))
    return found


def test_prometheus_finds_every_process_of_the_stack(stack: Stack, targets: list[str]) -> None:
    texts = [httpx.get(target).raise_for_status().text for target in targets]

    workers = re.findall(r'^marketplace_worker_info\{worker="([\w-]+)"\} 1', "\n".join(texts), re.MULTILINE)
    expected = [f"{service}-{number}" for service in ("gig", "order", "review") for number in range(stack.workers)]
    assert sorted(workers) == sorted([*expected, "gig-images", "order-events"])
    assert sum("envoy_server_live" in text for text in texts) == 1


@pytest.mark.parametrize("expression", expressions())
def test_a_query_of_the_dashboard_asks_for_what_there_is(expression: str, metrics: dict[str, set[str]]) -> None:
    for name, labels in uses(promql.parse(expression)):
        base = name if name in metrics else SUFFIX.sub("", name)
        assert base in metrics, f"the stack has no {name}"
        assert labels <= metrics[base] | OF_PROMETHEUS, f"{name} has the labels {metrics[base]}"


def test_every_metric_of_the_services_is_on_the_dashboard(metrics: dict[str, set[str]]) -> None:
    shown = {SUFFIX.sub("", name) for each in expressions() for name, _ in uses(promql.parse(each))}

    own = {name for name in metrics if name.startswith("marketplace_") and not name.endswith("_created")}
    assert own - shown == {"marketplace_upload_file_bytes"}
