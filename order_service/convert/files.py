"""Files: domain to proto."""

from __future__ import annotations

from marketplace.file.v1 import file_pb2
from order_service.domain.file import FileLabel


def to_file(label: FileLabel) -> file_pb2.File:
    """Convert what a message or a delivery shows of a file."""
    return file_pb2.File(
        file_id=str(label.id),
        name=label.name,
        size=label.size,
        type=label.type,
        status=file_pb2.File.Status.Value(label.status),
    )


def to_uploaded(label: FileLabel) -> file_pb2.UploadFileResponse:
    """Convert a file that was just uploaded."""
    return file_pb2.UploadFileResponse(
        file_id=str(label.id),
        name=label.name,
        size=label.size,
        type=label.type,
        status=file_pb2.File.Status.Value(label.status),
    )
