"""The catalogue as data: gigs, orders and what is said in them, from the TOML files of `catalogue/`."""

from __future__ import annotations

import tomllib
from dataclasses import dataclass
from pathlib import Path
from typing import Any

FOLDER = Path(__file__).resolve().parent / "catalogue"


@dataclass(frozen=True)
class PlannedGig:
    """A gig that the seed makes."""

    id: str
    """Its name in this catalogue; gigs have no such thing in the API."""
    seller: str
    category: str
    title: str
    description: str
    tags: tuple[str, ...]
    packages: tuple[dict[str, Any], ...]
    brief: str
    """What a buyer asks for."""

    @property
    def request(self) -> dict[str, Any]:
        """Return the body of `POST /api/gigs`, but for the category's id."""
        packages = [
            {
                "title": each["title"],
                "description": each["description"],
                "price": each["price"],
                "deliveryDays": each["days"],
                "revisions": each["revisions"],
                "features": each["features"],
                "extras": [
                    {
                        "title": extra["title"],
                        "price": extra["price"],
                        "extraDays": extra["days"],
                        "extraRevisions": extra["revisions"],
                    }
                    for extra in each.get("extras", ())
                ],
            }
            for each in self.packages
        ]
        return {"title": self.title, "description": self.description, "tags": self.tags, "packages": packages}


@dataclass(frozen=True)
class PlannedOrder:
    """An order, the actions that follow its placing, and its review."""

    gig: PlannedGig
    package: int
    """The place of its package in the gig."""
    buyer: str
    actions: tuple[str, ...]
    stars: int
    """0: no review."""
    text: str
    reply: str
    quantity: int
    extras: tuple[int, ...]
    """The places of its extras in the package."""

    @property
    def package_title(self) -> str:
        """Return the title of its package, by which it is known among the buyer's orders of the gig."""
        return str(self.gig.packages[self.package]["title"])

    @property
    def extra_titles(self) -> list[str]:
        """Return the titles of its extras, by which they are known in the package."""
        return [str(self.gig.packages[self.package]["extras"][place]["title"]) for place in self.extras]

    @property
    def price(self) -> float:
        """Return the price of its package, as often as it is ordered, and of its extras."""
        package = self.gig.packages[self.package]
        return float(package["price"] * self.quantity + sum(package["extras"][place]["price"] for place in self.extras))


@dataclass(frozen=True)
class PlannedLine:
    """A message of a conversation; with a price, an offer."""

    by: str
    """`buyer` or `seller`."""
    text: str
    title: str = ""
    price: float = 0
    days: int = 0
    revisions: int = 0


@dataclass(frozen=True)
class PlannedConversation:
    """What a buyer and the seller of a gig say to each other; the buyer begins."""

    gig: PlannedGig
    buyer: str
    lines: tuple[PlannedLine, ...]


@dataclass(frozen=True)
class Catalogue:
    """All that the seed makes."""

    gigs: tuple[PlannedGig, ...]
    orders: tuple[PlannedOrder, ...]
    conversations: tuple[PlannedConversation, ...]
    messages: dict[str, str]
    """The message of each action that has one."""
    paused: frozenset[str]
    """The ids of gigs that their sellers have paused."""

    @property
    def sellers(self) -> list[str]:
        """Return the names of the sellers, each once."""
        return list(dict.fromkeys(gig.seller for gig in self.gigs))

    @property
    def buyers(self) -> list[str]:
        """Return the names of the buyers, each once."""
        return list(dict.fromkeys(order.buyer for order in self.orders))


def load(folder: Path = FOLDER) -> Catalogue:
    """Return the catalogue."""
    files = {path.stem: tomllib.loads(path.read_text()) for path in sorted(folder.glob("*.toml"))}
    gigs = [
        PlannedGig(**each | {"tags": tuple(each["tags"]), "packages": tuple(each["packages"])})
        for file in files.values()
        for each in file.get("gig", [])
    ]
    by_id = {gig.id: gig for gig in gigs}
    plan = files["orders"]
    orders = [
        PlannedOrder(
            gig=by_id[each["gig"]],
            package=each["package"],
            buyer=each["buyer"],
            actions=tuple(plan["paths"][each.get("path", "completed")]),
            stars=each.get("stars", 0),
            text=each.get("text", ""),
            reply=each.get("reply", ""),
            quantity=each.get("quantity", 1),
            extras=tuple(each.get("extras", ())),
        )
        for file in files.values()
        for each in file.get("order", [])
    ]
    conversations = [
        PlannedConversation(
            gig=by_id[each["gig"]],
            buyer=each["buyer"],
            lines=tuple(PlannedLine(**line) for line in each["line"]),
        )
        for file in files.values()
        for each in file.get("conversation", [])
    ]
    return Catalogue(tuple(gigs), tuple(orders), tuple(conversations), plan["messages"], frozenset(plan["paused"]))
