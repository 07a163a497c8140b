"""The text that `make run` prints when the stack is up."""

import shlex
import textwrap

from deploy.local.environment import addresses
from deploy.local.exposure import notes
from deploy.local.inherited import ROOT
from deploy.local.layout import Layout
from deploy.local.ports import DEFAULT_EDGE_PORT
from deploy.local.settings import StackSettings
from edge.tokens import DEFAULT_DATA_DIR
from servicekit.internal_tls import DEVELOPER

_GIG = (
    '{"title": "Professional Website Development", "description": "I will build you a responsive website",\n'
    '        "categoryId": "3fa85f64-5717-4562-b3fc-2c963f66afa6", "tags": ["frontend", "web"],\n'
    '        "packages": [{"title": "Basic Website", "description": "5-page site", "price": 500, "deliveryDays": 14,\n'
    '                      "features": ["Responsive Design", "Contact Form"]}]}'
)


def banner(settings: StackSettings, layout: Layout, seconds: float) -> str:
    """Return the stack's addresses and folders, and a command that works as pasted."""
    data = shlex.quote(str(layout.data_dir))
    facts = {
        "Edge": f"{settings.edge_url}",
        **{name: settings.edge_url + path for name, path in _pages(settings).items()},
        **{f"gRPC {service}": " ".join(addresses(settings, service)) for service in settings.workers},
        **_certificate(settings, layout),
        "Data": f"{layout.data_dir}   (to wipe it: stop, then rm -rf {data})",
        "Logs": str(layout.logs),
        "Payments": "sandbox: no money moves" if settings.payments == "sandbox" else settings.payments,
    }
    lines = [f"  {name:<12}{value}" for name, value in facts.items()]
    rule = "─" * 100
    return "\n".join(
        [
            rule,
            f"The marketplace is up after {seconds:.1f} s. It is for development: {_warning(settings)}.",
            "",
            *lines,
            *_notes(settings),
            "",
            *_first_command(settings, layout),
            "",
            *_seed_command(settings, layout),
            "Ctrl-C stops everything and keeps the data.",
            rule,
        ]
    )


def _pages(settings: StackSettings) -> dict[str, str]:
    """Return the paths of what the edge serves beside the API, for people, tools and agents."""
    docs = {"Docs": "/docs", "OpenAPI": "/openapi.json"} if settings.edge_docs == "on" else {}
    return docs | ({"MCP": "/mcp"} if settings.edge_mcp == "on" else {})


def _certificate(settings: StackSettings, layout: Layout) -> dict[str, str]:
    """Return where the certificate is that clients of gRPC need, when they need one that the stack has made."""
    if settings.internal_tls == "off" or settings.internal_tls_folder is not None:
        return {}
    return {"Certificate": f"{layout.tls / DEVELOPER}   (for clients of gRPC: see the README)"}


def _notes(settings: StackSettings) -> list[str]:
    return [
        line
        for note in notes(settings)
        for line in ("", *textwrap.wrap(note, 100, initial_indent="  ", subsequent_indent="  "))
    ]


def _warning(settings: StackSettings) -> str:
    if settings.user_jwks is None:
        return "anyone who can read DATA_DIR can act as any user"
    return "everything runs on this one machine"


def _options(settings: StackSettings) -> str:
    """Return curl's options. The certificate is for the name that clients use, not for this address."""
    return "-sk" if settings.scheme == "https" else "-s"


def _variables(settings: StackSettings, layout: Layout) -> list[str]:
    """Return the variables of `make` that name this stack, where they are not the defaults."""
    port = [] if settings.port == DEFAULT_EDGE_PORT else [f"PORT={settings.port}"]
    return port + _folder(layout)


def _folder(layout: Layout) -> list[str]:
    return [] if layout.data_dir == ROOT / DEFAULT_DATA_DIR else [f"DATA_DIR={layout.data_dir}"]


def _seed_command(settings: StackSettings, layout: Layout) -> list[str]:
    if settings.user_jwks is not None or settings.payments != "sandbox":
        return []
    command = shlex.join(["make", "-C", str(ROOT), "seed", *_variables(settings, layout)])
    return ["  Fill it with gigs, pictures, orders and reviews:", "", f"  {command}", ""]


def _first_command(settings: StackSettings, layout: Layout) -> list[str]:
    if settings.user_jwks is not None:
        return [
            f"  Read the categories (users' tokens come from {settings.user_jwt_issuer}):",
            "",
            f"  curl {_options(settings)} {settings.edge_url}/api/categories",
        ]
    token = shlex.join(["make", "-s", "-C", str(ROOT), "token", "ROLE=seller", "NAME=webdev_pro", *_folder(layout)])
    return [
        "  Create a gig, from another terminal:",
        "",
        f'  curl {_options(settings)} {settings.edge_url}/api/gigs -H "Authorization: Bearer $({token})" \\',
        "    -H 'Content-Type: application/json' \\",
        f"    -d '{_GIG}'",
    ]
