"""The parts of the process of watches, the feed and files, put together around its database."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path

from marketplace.event.v1 import event_pb2, event_pb2_grpc
from marketplace.file.v1 import file_pb2, file_pb2_grpc
from order_service.commands.scan_file import ScanFile
from order_service.commands.upload_file import UploadFile
from order_service.events.file_scans import FileScans
from order_service.events.files import FileServicer
from order_service.events.follower import Follower
from order_service.events.hub import Hub
from order_service.events.servicer import EventServicer
from order_service.events.unsent_files import unsent_files_task
from order_service.files.scanner import scanner_from
from order_service.files.storage import storage_from
from order_service.settings import EventSettings
from order_service.store.files import FILES
from order_service.store.store import Store
from servicekit.database import Database
from servicekit.server import Background, Service, ServiceSpec
from servicekit.storage.deletion import file_deletion
from servicekit.storage.orphan_sweeper import OrphanSweeper
from servicekit.threads import Threads
from servicekit.user_places import UserPlaces

# Reads and writes of files at once. Threads of their own: while a storage is slow, watches are not.
FILE_THREADS = 8


def build(settings: EventSettings, database: Database, upload_dir: Path) -> ServiceSpec:
    """Return what the process serves, and its background work. Incoming uploads lie in `upload_dir`."""
    store, hub, storage = Store(database), Hub(), storage_from(settings)
    scanner = scanner_from(settings.file_scanner, settings.file_scan_seconds)
    servicer = EventServicer(
        store,
        hub,
        UserPlaces(settings.watches, settings.watches_per_user, "watches"),
        lifetime=timedelta(minutes=settings.watch_minutes),
        timeouts=settings.timeouts,
    )
    files = FileServicer(
        store,
        storage,
        UploadFile(store, storage, is_scanned=scanner is not None),
        upload_dir,
        Threads(FILE_THREADS, "files"),
        uploads=UserPlaces(settings.file_uploads, settings.file_uploads_per_user, "uploads"),
        downloads=UserPlaces(settings.file_downloads, settings.file_downloads_per_user, "downloads"),
        max_bytes=settings.file_max_bytes,
        min_rate=settings.file_upload_min_rate,
    )
    background: list[Background] = [
        Follower(database, store.feed_reader, hub),
        file_deletion(database, storage, FILES),
        OrphanSweeper(storage, store.files.orphans, database),
        unsent_files_task(store, database),
    ]
    if scanner is not None:
        background.append(FileScans(store, ScanFile(store, storage, scanner), database))
    return ServiceSpec(
        [
            Service(
                servicer,
                event_pb2.DESCRIPTOR.services_by_name["EventService"],
                event_pb2_grpc.add_EventServiceServicer_to_server,
            ),
            Service(
                files,
                file_pb2.DESCRIPTOR.services_by_name["FileService"],
                file_pb2_grpc.add_FileServiceServicer_to_server,
            ),
        ],
        background=background,
        end_waiting_calls=hub.end,
    )
