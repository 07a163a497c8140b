"""Frames of HTTP/2 by hand, as no library would send them."""

from __future__ import annotations

import hpack
from hyperframe.frame import ContinuationFrame, Frame, GoAwayFrame, HeadersFrame

PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
MAX_FRAME = 16_384


def headers_frames(encoder: hpack.Encoder, stream: int, headers: list[tuple[str, str]], *, end: bool) -> bytes:
    """Return the frames of a header list; whatever its names and values, in Latin-1."""
    pairs = [(name.encode("latin-1", "replace"), value.encode("latin-1", "replace")) for name, value in headers]
    block = encoder.encode(pairs, huffman=False)
    pieces = [block[at : at + MAX_FRAME] for at in range(0, len(block), MAX_FRAME)] or [b""]
    frames: list[Frame] = [HeadersFrame(stream, pieces[0], flags=["END_STREAM"] if end else [])]
    frames += [ContinuationFrame(stream, piece) for piece in pieces[1:]]
    frames[-1].flags.add("END_HEADERS")
    return b"".join(frame.serialize() for frame in frames)


def read_statuses(data: bytes) -> tuple[dict[int, int], bool]:
    """Return the status of each answered stream, and whether the server has closed the connection."""
    decoder, statuses, closed, at = hpack.Decoder(), {}, False, 0
    while at + 9 <= len(data):
        frame, length = Frame.parse_frame_header(memoryview(data)[at : at + 9])
        if at + 9 + length > len(data):
            break
        frame.parse_body(memoryview(data)[at + 9 : at + 9 + length])
        at += 9 + length
        if isinstance(frame, HeadersFrame):
            for name, value in decoder.decode(frame.data, raw=True):
                if name == b":status":
                    statuses[frame.stream_id] = int(value)
        closed = closed or isinstance(frame, GoAwayFrame)
    return statuses, closed
