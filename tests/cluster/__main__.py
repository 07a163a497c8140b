"""`python -m tests.cluster`: three hosts of network namespaces on this machine, until Ctrl-C."""

from __future__ import annotations

import shutil
import signal
import sys
import tempfile
import threading
import time
from pathlib import Path

from tests.cluster.hosts import Cluster
from tests.cluster.network import reason_against


def main() -> int:
    """Start the hosts, say how to reach them, and stop them at Ctrl-C."""
    if reason := reason_against():
        print(reason, file=sys.stderr)
        return 1
    folder = Path(tempfile.mkdtemp(prefix="cluster-"))
    # etcd and PostgreSQL run under another uid.
    folder.chmod(0o711)
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
    cluster = Cluster(folder)
    print(f"Starting three hosts; their logs are in {folder}/state/<host>/logs …", flush=True)
    began = time.monotonic()
    try:
        cluster.start()
        print(f"The cluster is up after {time.monotonic() - began:.0f} s; the primary is {cluster.primary()}.")
        for name in cluster.hosts:
            print(f"  {name:<6} {cluster.url(name)}/api/gigs")
        print(f"A token: DATA_DIR={folder} make token ROLE=seller NAME=someone", flush=True)
        threading.Event().wait()
    except KeyboardInterrupt:
        print("Stopping …", flush=True)
    finally:
        cluster.stop()
    shutil.rmtree(folder, ignore_errors=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())
