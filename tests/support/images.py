"""ImageService in this process or in another one, with a real database, folder and decoder."""

from __future__ import annotations

import io
import json
import os
import subprocess
import sys
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import grpc
import jwt
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from PIL import Image

from gig_service.commands.add_images import AddImages
from gig_service.images.decoder_pool import DecoderPool
from gig_service.images.servicer import ImageServicer
from marketplace.gig.v1 import image_pb2, image_pb2_grpc
from servicekit.aio import AioPipeline
from servicekit.settings import ServiceSettings
from servicekit.user_places import UserPlaces
from tests.support.aio import AioServer, stream_in
from tests.support.decoder_pool import a_keeper
from tests.support.eventually import eventually
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
START_SECONDS = 120


def a_picture(kind: str = "JPEG", color: str = "teal", size: tuple[int, int] = (64, 48)) -> bytes:
    """Return a small picture."""
    written = io.BytesIO()
    Image.new("RGB", size, color).save(written, kind)
    return written.getvalue()


def a_form(*files: bytes, media_type: str = "image/jpeg") -> bytes:
    """Return a form with these files."""
    head = f'--{BOUNDARY}\r\nContent-Disposition: form-data; name="file"; filename="a.jpg"\r\n'
    parts = [head.encode() + f"Content-Type: {media_type}\r\n\r\n".encode() + file + b"\r\n" for file in files]
    return b"".join(parts) + f"--{BOUNDARY}--\r\n".encode()


def pieces(gig_id: str, content_type: str, body: bytes, **fields: Any) -> Iterator[image_pb2.UploadImagesRequest]:
    """Yield the messages that the edge makes of a body."""
    for start in range(0, max(1, len(body)), PIECE_BYTES):
        request = image_pb2.UploadImagesRequest(**({"gig_id": gig_id, **fields} if start == 0 else {}))
        if start == 0:
            request.file.content_type = content_type
        request.file.data = body[start : start + PIECE_BYTES]
        yield request


class Uploads:
    """Calls of a server's UploadImages, as the owner of all gigs of tests."""

    def __init__(self, channel: grpc.Channel) -> None:
        # Any: the stubs' types know metadata as one shape only.
        self.rpc: Any = image_pb2_grpc.ImageServiceStub(channel).UploadImages

    def send(
        self, requests: Iterable[image_pb2.UploadImagesRequest], name: str = "webdev_pro", **metadata: Any
    ) -> Answer:
        """Send these messages."""
        return stream_in(self.rpc, requests, token(name, "seller"), **metadata)

    def begin(self, requests: Iterable[image_pb2.UploadImagesRequest], name: str = "webdev_pro") -> Any:
        """Begin to send these messages, and return the call, which can be cancelled."""
        return self.rpc.future(iter(requests), metadata=[("authorization", f"Bearer {token(name, 'seller')}")])

    def raw(self, gig_id: str, picture: bytes | None = None, kind: str = "image/jpeg", **fields: Any) -> Answer:
        """Send one file as the body."""
        return self.send(pieces(gig_id, kind, a_picture() if picture is None else picture, **fields))

    def form(self, gig_id: str, *files: bytes, **fields: Any) -> Answer:
        """Send files in a form."""
        return self.send(pieces(gig_id, FORM, a_form(*files), **fields))


class Images(Media):
    """Gigs with a folder of media, and the service that takes uploads."""

    def __init__(self, database: Any, folder: Path) -> None:
        super().__init__(database, folder)
        self.upload_dir = folder / "incoming"
        self.upload_dir.mkdir()
        self.add_images = AddImages(self.store, self.storage, 20)

    @contextmanager
    def serving(self, *, uploads: int = 200, per_user: int = 4, **limits: Any) -> Iterator[Uploads]:
        """Serve, with a decoder of its own."""
        decoders = DecoderPool(a_keeper())
        decoders.start()
        places = UserPlaces(uploads, per_user, "uploads")
        servicer = ImageServicer(
            self.add_images,
            decoders,
            places,
            self.upload_dir,
            max_bytes=10 * 2**20,
            min_rate=1_000,
            media_url=MEDIA_URL,
        )
        register = image_pb2_grpc.add_ImageServiceServicer_to_server
        try:
            pipeline = AioPipeline(verifier(), **limits)
            with AioServer(servicer, SERVICE, register, pipeline) as server, server.channel() as channel:
                yield Uploads(channel)
        finally:
            decoders.stop()

    def shown(self, gig_id: str) -> list[tuple[str, bool]]:
        """Return the key of each image on a gig's page, and whether it is primary."""
        images = self.gigs.page(gig_id).images
        return [(image.url.split("/media/")[1], image.is_primary) for image in images]


class ImagesProcess:
    """`python -m gig_service.images` on a database and a folder."""

    def __init__(self, database_url: str, folder: Path, media: Path, **environment: str) -> None:
        port, metrics_port = free_ports(2)
        self.upload_dir = folder / "uploads"
        self.media = media
        self._environment = {
            **os.environ,
            "PYTHONPATH": f"{ROOT}:{ROOT / 'generated'}",
            "LISTEN": f"127.0.0.1:{port}",
            "METRICS_LISTEN": f"127.0.0.1:{metrics_port}",
            "LOG_FORMAT": "json",
            "INTERNAL_TLS": "off",
            "GIG_DATABASE_URL": database_url,
            "MEDIA_DIR": str(media),
            "MEDIA_URL": MEDIA_URL,
            "UPLOAD_DIR": str(self.upload_dir),
            **_write_keys(folder),
            **environment,
        }
        self.log = folder / "images.log"
        self.channel = grpc.insecure_channel(f"127.0.0.1:{port}")

    def __enter__(self) -> ImagesProcess:
        _give_to_process(self.media)
        with self.log.open("wb") as log:
            self.process = subprocess.Popen(
                [sys.executable, "-m", "gig_service.images"], env=self._environment, stdout=log, stderr=log
            )
        eventually(self._has_started_or_ended, START_SECONDS)
        if self.process.poll() is not None:
            raise RuntimeError(self.log.read_text())
        return self

    def __exit__(self, *_: object) -> None:
        self.channel.close()
        self.process.terminate()
        self.process.wait(10)

    @property
    def uploads(self) -> Uploads:
        """The calls of this process."""
        return Uploads(self.channel)

    def _has_started_or_ended(self) -> bool:
        return '"serving"' in self.log.read_text() or self.process.poll() is not None


def _give_to_process(media: Path) -> None:
    """Give a folder and all in it to the user that the process becomes when root starts it."""
    if os.geteuid() == 0:
        uid, gid = map(int, str(ServiceSettings.model_fields["run_as"].default).split(":"))
        for path in (media, *media.rglob("*")):
            os.chown(path, uid, gid)


def _write_keys(folder: Path) -> dict[str, str]:
    """Write the keys of tests to files, and return the settings that name them."""
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
