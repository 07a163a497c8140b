"""The SQL of uploads, as tests/servicer/test_recorded_sql.py has it of the other RPCs."""

from __future__ import annotations

from functools import partial
from pathlib import Path

import pytest

from servicekit.database import Database
from tests.support.images import SERVICE, Images, a_picture
from tests.support.recorded_sql import compare, recording


def test_the_sql_of_an_upload(monkeypatch: pytest.MonkeyPatch, gig_database: Database, tmp_path: Path) -> None:
    with recording(monkeypatch) as sql:
        images = Images(gig_database, tmp_path)
        gig = images.gigs.create()
        with images.serving() as uploads:
            sql.call("UploadImages", partial(uploads.raw, gig))
            sql.call("UploadImages: three pictures", partial(uploads.form, gig, *[a_picture()] * 3))
            # A gig with images takes as many messages as one without.
            sql.call("UploadImages", partial(uploads.raw, gig))

        compare("ImageService", sql, SERVICE)
