"""What the stack reads from Envoy's admin page."""

from __future__ import annotations

import json

import pytest

from deploy.local import envoy_admin

HEALTHY = {"eds_health_status": "HEALTHY"}
FAILED = {"eds_health_status": "HEALTHY", "failed_active_health_check": True}


def test_a_worker_in_two_clusters_is_healthy_when_it_is_in_both(monkeypatch: pytest.MonkeyPatch) -> None:
    hosts = {"event": {1: HEALTHY, 2: HEALTHY, 3: FAILED}, "file": {1: HEALTHY, 2: FAILED, 3: FAILED}}
    clusters = [
        {
            "host_statuses": [
                {"address": {"socket_address": {"port_value": port}}, "health_status": health}
                for port, health in workers.items()
            ]
        }
        for workers in hosts.values()
    ]
    page = json.dumps({"cluster_statuses": clusters}).encode()
    monkeypatch.setattr(envoy_admin, "_request", lambda *_: (200, page))

    assert envoy_admin.healthy_upstreams(1) == {1}
