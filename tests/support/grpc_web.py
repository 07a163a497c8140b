"""A client of gRPC-Web by hand: frames, the text form, and the status at the end."""

from __future__ import annotations

import base64
import re
import struct
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import unquote

import httpx
from google.protobuf.message import Message
from google.rpc import error_details_pb2, status_pb2

BINARY = "application/grpc-web+proto"
TEXT = "application/grpc-web-text+proto"
# The flag of the frame that has the trailers.
_TRAILERS = 0x80


@dataclass
class Answer:
    """The messages of a response, and how the call ended."""

    response: httpx.Response
    messages: list[bytes] = field(default_factory=list)
    trailers: dict[str, str] = field(default_factory=dict)

    @property
    def status(self) -> int:
        """Return the gRPC status."""
        return int(self.trailers["grpc-status"])

    @property
    def message(self) -> str:
        """Return the text of the status."""
        return unquote(self.trailers["grpc-message"])

    @property
    def details(self) -> status_pb2.Status:
        """Return the details of the status."""
        return status_pb2.Status.FromString(_unpadded(self.trailers["grpc-status-details-bin"]))

    @property
    def code(self) -> str:
        """Return the code of the error catalogue."""
        info = error_details_pb2.ErrorInfo()
        assert self.details.details[0].Unpack(info)
        assert info.domain == "marketplace"
        assert (self.details.code, self.details.message) == (self.status, self.message)
        return str(info.reason)


def frame(message: Message | bytes) -> bytes:
    """Return a message as the body of a request."""
    data = message if isinstance(message, bytes) else message.SerializeToString()
    return struct.pack(">BI", 0, len(data)) + data


def call(
    client: httpx.Client, path: str, message: Message, headers: dict[str, str] | None = None, *, text: bool = False
) -> Answer:
    """Call an RPC, in the binary or in the text form."""
    body = frame(message)
    content = base64.b64encode(body) if text else body
    kind = TEXT if text else BINARY
    named: dict[str, Any] = {"content-type": kind, "accept": kind, "x-grpc-web": "1", **(headers or {})}
    return read(client.post(path, content=content, headers=named))


def read(response: httpx.Response) -> Answer:
    """Read a response in either form; the status may stand in its headers."""
    assert response.status_code == 200, response.text
    kind = response.headers["content-type"]
    assert kind in (BINARY, TEXT)
    answer = Answer(response)
    body = _joined(response.content) if kind == TEXT else response.content
    while body:
        flag, length = struct.unpack(">BI", body[:5])
        data, body = body[5 : 5 + length], body[5 + length :]
        assert len(data) == length
        if flag == _TRAILERS:
            assert not body, "the trailers come last"
            lines = data.decode().split("\r\n")
            answer.trailers = {
                name.lower(): value.strip() for name, _, value in (each.partition(":") for each in lines)
            }
        else:
            assert flag == 0
            answer.messages.append(data)
    if not answer.trailers:
        answer.trailers = {name: value for name, value in response.headers.items() if name.startswith("grpc-")}
    return answer


def _joined(text: bytes) -> bytes:
    """Decode base64 that was written piece by piece: each piece may end with padding."""
    return b"".join(base64.b64decode(each) for each in re.findall(rb"[A-Za-z0-9+/]+={0,2}", text))


def _unpadded(text: str) -> bytes:
    return base64.b64decode(text + "=" * (-len(text) % 4))
