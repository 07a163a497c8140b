"""`python -m order_service.files.copies`: copies the files of users from their storage to a folder, and back."""

import sys

from order_service.files.storage import FILES, storage_from
from order_service.settings import FileStorageSettings
from servicekit.settings import load
from servicekit.storage import copies

if __name__ == "__main__":
    settings = load(FileStorageSettings)
    sys.exit(copies.main("python -m order_service.files.copies", FILES, lambda: storage_from(settings)))
