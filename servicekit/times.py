"""Times in the protos: aware `datetime`s become Timestamps with whole seconds."""

from datetime import datetime

from google.protobuf.timestamp_pb2 import Timestamp


def to_timestamp(at: datetime) -> Timestamp:
    """Return the time (aware), rounded down to the second."""
    return Timestamp(seconds=int(at.timestamp()))
