"""Points in time on their way out: aware UTC `datetime`s become Timestamps with whole seconds."""

from datetime import datetime

from google.protobuf.timestamp_pb2 import Timestamp


def to_timestamp(at: datetime) -> Timestamp:
    """The second that `at` (aware) lies in."""
    return Timestamp(seconds=int(at.timestamp()))
