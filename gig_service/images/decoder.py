"""A decoder process: it gets open files from its socket, decodes one picture after the other, and tells the results.

A message has a picture's media type and the most pixels, with three open files: the source, and the two to write. The
process sends what of the confinement is missing (JSON) once after its start; for each message it sends BEGUN, and then
the result (JSON).
"""

from __future__ import annotations

import gc
import io
import json
import socket
import struct
from contextlib import ExitStack
from typing import Any, BinaryIO

from PIL import Image, ImageCms

from gig_service.images.decode import FORMATS, Encoded, PictureRefused, try_decode
from gig_service.media.decoded_picture import GIF, JPEG, PNG, WEBP

TYPES = (JPEG, PNG, WEBP, GIF)
# The number of the type, and the most pixels.
TASK = struct.Struct("!BQ")
BEGUN = b"begun"
FILES = 3


def serve(connection: socket.socket, missing: list[str]) -> None:
    """Decode until the other end closes the connection. `missing`: what of the confinement the machine lacks."""
    connection.send(json.dumps({"missing": missing}).encode())
    while True:
        message, files, _, _ = socket.recv_fds(connection, 64, FILES)
        if not message:
            return
        number, max_pixels = TASK.unpack(message)
        connection.send(BEGUN)
        with ExitStack() as opened:
            source, picture, thumbnail = (
                opened.enter_context(open(file, mode, buffering=size))  # noqa: PTH123  # it is open already
                for file, mode, size in zip(files, ("rb", "wb", "wb"), (0, 65536, 65536), strict=True)
            )
            result = _decoded(source, picture, thumbnail, TYPES[number], max_pixels)
        connection.send(_encoded(result))


def _decoded(*arguments: Any) -> Encoded | PictureRefused:
    try:
        return try_decode(*arguments)
    except Exception as error:  # not the picture's fault: for the log of the service
        return PictureRefused("failed", repr(error)[:200])


def _encoded(result: Encoded | PictureRefused) -> bytes:
    if isinstance(result, Encoded):
        value: dict[str, object] = {"type": result.media_type, "width": result.width, "height": result.height}
    else:
        value = {"outcome": result.outcome, "message": result.message}
    return json.dumps(value).encode()


def warm_up() -> None:
    """Decode a picture of each format, so that every module is loaded: a confined process cannot read files."""
    for format_, declared in ((format_, declared) for declared, format_ in FORMATS.items()):
        file = io.BytesIO()
        profile = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
        Image.new("RGB", (600, 8)).save(file, format_, icc_profile=profile)
        outputs: tuple[BinaryIO, BinaryIO] = (io.BytesIO(), io.BytesIO())
        assert isinstance(try_decode(io.BytesIO(file.getvalue()), *outputs, declared, 4_800), Encoded)
    try_decode(io.BytesIO(b"\xff\xd8\xff no picture"), io.BytesIO(), io.BytesIO(), JPEG, 1)
    # What is loaded stays: decoders that are forked from here share the memory.
    gc.collect()
    gc.freeze()
