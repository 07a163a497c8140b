"""`python -m gig_service.media.copies`: copies the files of images from their storage to a folder, and back."""

import sys

from gig_service.media.pictures import PICTURES, storage_from
from gig_service.settings import MediaSettings
from servicekit.settings import load
from servicekit.storage import copies

if __name__ == "__main__":
    settings = load(MediaSettings)
    sys.exit(copies.main("python -m gig_service.media.copies", PICTURES, lambda: storage_from(settings)))
