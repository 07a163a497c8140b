"""Envoy's configuration, rendered at the start of the stack and before a new Envoy takes over.

It is rendered into new files beside those in use, and replaces them when it is known to be good: supervisord may have
to start Envoy again at any time.
"""

import json
import os
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

from deploy.local import environment, supervise, users
from deploy.local.layout import Layout
from edge import tls


class EdgeConfigError(Exception):
    """The configuration cannot be rendered; the text says why."""


def start_rendering(layout: Layout, renderer_environment: Mapping[str, str]) -> subprocess.Popen[str]:
    """Start to write a new configuration, readable for Envoy, and copies of the files that it needs.

    Raises OSError and ValueError.
    """
    identity = users.edge_identity(int(renderer_environment["PORT"]))
    for path in (layout.envoy_config, layout.readable_envoy_config):
        layout.write_private(_new(path), "", identity.gid if identity else None)
    layout.edge_files.mkdir(mode=0o755, exist_ok=True)
    layout.edge_files.chmod(0o755)
    base = environment.edge_base(layout)
    output = _new(layout.readable_envoy_config).relative_to(layout.data_dir)
    words = ["-m", "edge.bootstrap", "--output", str(output), "--files", str(base / "run" / "edge")]
    return _start(layout, [sys.executable, *words], renderer_environment)


def finish_rendering(layout: Layout, renderer_environment: Mapping[str, str], renderer: subprocess.Popen[str]) -> None:
    """Wait for the renderer, and give Envoy what it has to read. Raises EdgeConfigError and OSError."""
    _, errors = renderer.communicate()
    # Also when the renderer failed later: the running Envoy may read its certificate again.
    identity = users.edge_identity(int(renderer_environment["PORT"]))
    secret = layout.edge_files / tls.SECRET_FILE
    if identity and secret.exists():
        os.chown(secret, identity.uid, identity.gid)
    if renderer.returncode != 0:
        raise EdgeConfigError(f"Envoy's configuration cannot be rendered:\n{errors}")


def validate(layout: Layout) -> None:
    """Let Envoy check the new configuration. Raises EdgeConfigError and OSError.

    An Envoy that fails while it takes over leaves a mark by which the running one refuses all later ones.
    """
    config = environment.edge_base(layout) / _new(layout.envoy_config).relative_to(layout.data_dir)
    words = [str(supervise.envoy_program()), "-c", str(config), "--mode", "validate", "--disable-hot-restart"]
    checker = _start(layout, [*words, "--log-level", "error"], environment.of_edge(os.environ))
    _, errors = checker.communicate()
    if checker.returncode != 0:
        raise EdgeConfigError(f"Envoy refuses its configuration:\n{errors[-2000:]}")


def use_rendered(layout: Layout) -> None:
    """Replace the configuration by the new one. Raises OSError."""
    for path in (layout.envoy_config, layout.readable_envoy_config):
        _new(path).replace(path)


def _new(path: Path) -> Path:
    """Return the file beside this one that is rendered into."""
    return path.with_stem(f"{path.stem}.new")


def _start(layout: Layout, words: list[str], variables: Mapping[str, str]) -> subprocess.Popen[str]:
    return subprocess.Popen(
        # Through the launcher, as Envoy: it gets the file descriptor that paths may begin with.
        supervise.launched("SIGTERM", ["--folder", str(environment.EDGE_FOLDER), *words]),
        cwd=layout.data_dir,
        env=dict(variables),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
        # The terminal's Ctrl-C must reach the command alone, which decides whether it goes on.
        process_group=0,
    )


def keep_environment(layout: Layout, renderer_environment: Mapping[str, str]) -> None:
    """Keep the environment of the renderer for the next rendering. Raises OSError."""
    layout.environments.mkdir(mode=0o700, exist_ok=True)
    layout.write_private(_kept_file(layout), json.dumps(dict(renderer_environment)))


def kept_environment(layout: Layout) -> dict[str, str]:
    """Return the environment of the renderer of the running stack. Raises EdgeConfigError and OSError."""
    file = _kept_file(layout)
    try:
        kept: dict[str, str] = json.loads(file.read_text())
    except ValueError as error:
        raise EdgeConfigError(f"{file} is damaged ({error}); a new start of the stack writes it again") from error
    return kept


def _kept_file(layout: Layout) -> Path:
    return layout.environments / f"{environment.EDGE}.json"
