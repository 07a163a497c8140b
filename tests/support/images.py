"""ImageService in this process or in one of its own, with a real database, folder and decoder."""

from __future__ import annotations

import io
import json
import os
import subprocess
import sys
import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import grpc
import jwt
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from PIL import Image

from gig_service.images.keeping import Keeper
from gig_service.images.servicer import ImageServicer
from gig_service.images.workshop import Workshop
from marketplace.gig.v1 import image_pb2, image_pb2_grpc
from servicekit.aio import AioPipeline
from tests.support.aio import AioServer, stream_in
from tests.support.identity import USER_AUDIENCE, USER_ISSUER, signing_key, token, verifier
from tests.support.media import Media
from tests.support.ports import free_ports
from tests.support.rpc import Answer

ROOT = Path(__file__).resolve().parents[2]
MEDIA_URL = "https://market.example.com/media"
SERVICE = image_pb2.DESCRIPTOR.services_by_name["ImageService"]
BOUNDARY = "xXx"
FORM = f"multipart/form-data; boundary={BOUNDARY}"
PIECE_BYTES = 40_000
START_SECONDS = 20


def a_picture(kind: str = "JPEG", color: str = "teal", size: tuple[int, int] = (64, 48)) -> bytes:
    """A small picture."""
    written = io.BytesIO()
    Image.new("RGB", size, color).save(written, kind)
    return written.getvalue()


def a_form(*files: bytes, media_type: str = "image/jpeg") -> bytes:
    """A form with these files."""
    head = f'--{BOUNDARY}\r\nContent-Disposition: form-data; name="file"; filename="a.jpg"\r\n'
    parts = [head.encode() + f"Content-Type: {media_type}\r\n\r\n".encode() + file + b"\r\n" for file in files]
    return b"".join(parts) + f"--{BOUNDARY}--\r\n".encode()


def pieces(gig_id: str, content_type: str, body: bytes, **fields: Any) -> Iterator[image_pb2.UploadImagesRequest]:
    """A body as the edge hands it on."""
    for start in range(0, max(1, len(body)), PIECE_BYTES):
        request = image_pb2.UploadImagesRequest(**({"gig_id": gig_id, **fields} if start == 0 else {}))
        if start == 0:
            request.file.content_type = content_type
        request.file.data = body[start : start + PIECE_BYTES]
        yield request


class Uploads:
    """Calls UploadImages of a server, as the owner of all gigs of tests."""

    def __init__(self, channel: grpc.Channel) -> None:
        # Any: the stubs' types know metadata as one shape only.
        self.rpc: Any = image_pb2_grpc.ImageServiceStub(channel).UploadImages

    def send(
        self, requests: Iterable[image_pb2.UploadImagesRequest], name: str = "webdev_pro", **metadata: Any
    ) -> Answer:
        """Sends these pieces."""
        return stream_in(self.rpc, requests, token(name, "seller"), **metadata)

    def begin(self, requests: Iterable[image_pb2.UploadImagesRequest], name: str = "webdev_pro") -> Any:
        """Begins to send these pieces; the call, which can be cancelled."""
        return self.rpc.future(iter(requests), metadata=[("authorization", f"Bearer {token(name, 'seller')}")])

    def raw(self, gig_id: str, picture: bytes | None = None, kind: str = "image/jpeg", **fields: Any) -> Answer:
        """Sends one file as the body."""
        return self.send(pieces(gig_id, kind, a_picture() if picture is None else picture, **fields))

    def form(self, gig_id: str, *files: bytes, **fields: Any) -> Answer:
        """Sends files in a form."""
        return self.send(pieces(gig_id, FORM, a_form(*files), **fields))


class Images(Media):
    """Gigs with a folder of pictures and the service that takes them."""

    def __init__(self, database: Any, folder: Path) -> None:
        super().__init__(database, folder)
        self.spool = folder / "spool"
        self.spool.mkdir()
        self.keeper = Keeper(self.store, self.storage, 20)

    @contextmanager
    def serving(self, **limits: float) -> Iterator[Uploads]:
        """The service, with a decoder of its own."""
        workshop = Workshop()
        workshop.start()
        servicer = ImageServicer(self.keeper, workshop, self.spool, 10 * 2**20, MEDIA_URL)
        register = image_pb2_grpc.add_ImageServiceServicer_to_server
        try:
            pipeline = AioPipeline(verifier(), **limits)
            with AioServer(servicer, SERVICE, register, pipeline) as server, server.channel() as channel:
                yield Uploads(channel)
        finally:
            workshop.stop()

    def shown(self, gig_id: str) -> list[tuple[str, bool]]:
        """The keys of a gig's images as its page shows them, and which is the primary one."""
        images = self.gigs.page(gig_id).images
        return [(image.url.split("/media/")[1], image.is_primary) for image in images]


class ImagesProcess:
    """`python -m gig_service.images` on a database and a folder."""

    def __init__(self, database_url: str, folder: Path, media: Path, **environment: str) -> None:
        port, metrics_port = free_ports(2)
        self.spool = folder / "uploads"
        self._environment = {
            **os.environ,
            "PYTHONPATH": f"{ROOT}:{ROOT / 'generated'}",
            "LISTEN": f"127.0.0.1:{port}",
            "METRICS_LISTEN": f"127.0.0.1:{metrics_port}",
            "LOG_FORMAT": "json",
            "GIG_DATABASE_URL": database_url,
            "MEDIA_DIR": str(media),
            "MEDIA_URL": MEDIA_URL,
            "UPLOAD_DIR": str(self.spool),
            **_keys(folder),
            **environment,
        }
        self.log = folder / "images.log"
        self.channel = grpc.insecure_channel(f"127.0.0.1:{port}")

    def __enter__(self) -> ImagesProcess:
        with self.log.open("wb") as log:
            self.process = subprocess.Popen(
                [sys.executable, "-m", "gig_service.images"], env=self._environment, stdout=log, stderr=log
            )
        deadline = time.monotonic() + START_SECONDS
        while '"serving"' not in self.log.read_text():
            if time.monotonic() > deadline or self.process.poll() is not None:
                raise RuntimeError(self.log.read_text())
            time.sleep(0.02)
        return self

    def __exit__(self, *_: object) -> None:
        self.channel.close()
        self.process.terminate()
        self.process.wait(10)

    @property
    def uploads(self) -> Uploads:
        """Calls to it."""
        return Uploads(self.channel)


def _keys(folder: Path) -> dict[str, str]:
    """The keys of tests as files, and the settings that name them."""
    for name in ("user", "service"):
        public = jwt.algorithms.ECAlgorithm.to_jwk(signing_key(name).public_key(), as_dict=True)
        (folder / f"{name}.jwks.json").write_text(json.dumps({"keys": [{**public, "kid": name, "alg": "ES256"}]}))
    private = signing_key("service").private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    (folder / "service.pem").write_bytes(private)
    return {
        "USER_JWKS": str(folder / "user.jwks.json"),
        "USER_JWT_ISSUER": USER_ISSUER,
        "USER_JWT_AUDIENCE": USER_AUDIENCE,
        "SERVICE_JWKS": str(folder / "service.jwks.json"),
        "SERVICE_SIGNING_KEY": str(folder / "service.pem"),
    }
