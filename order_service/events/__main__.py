"""`python -m order_service.events`: the process of watches, the feed and files."""

from order_service.events.process import build
from order_service.settings import EventSettings
from order_service.worker import MIGRATIONS
from servicekit.aio import run_aio
from servicekit.settings import load
from servicekit.uploads.folders import upload_folder

if __name__ == "__main__":
    settings = load(EventSettings)
    with upload_folder(settings.file_upload_dir, settings.run_as) as folder:
        run_aio(settings, settings.order_database_url, MIGRATIONS, lambda database: build(settings, database, folder))
