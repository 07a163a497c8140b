"""The parts of the process of watches and the feed, put together around its database."""

from __future__ import annotations

from datetime import timedelta

from marketplace.event.v1 import event_pb2, event_pb2_grpc
from order_service.events.follower import Follower
from order_service.events.hub import Hub
from order_service.events.servicer import EventServicer
from order_service.settings import EventSettings
from order_service.store.store import Store
from servicekit.database import Database
from servicekit.server import Service, ServiceSpec
from servicekit.user_places import UserPlaces


def build(settings: EventSettings, database: Database) -> ServiceSpec:
    """Return what the process serves, and its background work."""
    store, hub = Store(database), Hub()
    servicer = EventServicer(
        store,
        hub,
        UserPlaces(settings.watches, settings.watches_per_user, "watches"),
        lifetime=timedelta(minutes=settings.watch_minutes),
        timeouts=settings.timeouts,
    )
    return ServiceSpec(
        [
            Service(
                servicer,
                event_pb2.DESCRIPTOR.services_by_name["EventService"],
                event_pb2_grpc.add_EventServiceServicer_to_server,
            )
        ],
        background=[Follower(database, store.feed_reader, hub)],
        end_waiting_calls=hub.end,
    )
