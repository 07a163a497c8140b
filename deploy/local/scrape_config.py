"""Prometheus's configuration for a local stack: `make scrape-config`."""

from deploy.local.ports import STREAMING
from deploy.local.settings import StackSettings

_JOB = """\
- job_name: {name}
  metrics_path: {path}
  static_configs:
  - targets: [{targets}]
"""


def scrape_config(settings: StackSettings) -> str:
    """Return the configuration, as YAML: every process of the stack, and Envoy."""
    ports = settings.ports
    workers = [
        *(ports.metrics(service, worker) for service, count in settings.workers.items() for worker in range(count)),
        *(ports.streaming_metrics(service) for service in STREAMING),
    ]
    jobs = (("marketplace", "/metrics", workers), ("envoy", "/stats/prometheus", [ports.envoy_admin]))
    return "global: { scrape_interval: 5s }\nscrape_configs:\n" + "".join(
        _JOB.format(name=name, path=path, targets=", ".join(f"'127.0.0.1:{port}'" for port in each))
        for name, path, each in jobs
    ).rstrip("\n")
