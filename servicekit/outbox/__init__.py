"""What another service must learn: written with the change itself, delivered afterwards, at least once.

`Outbox.add` writes a row in the transaction of the change. A `Relay` in every worker takes rows one at a time under a
row lock and hands them to the handler of their topic; the row goes in the transaction of the delivery, so a worker that
dies leaves it for the next. A key's rows go out in the order they were written, one at a time across all workers; a
receiver must take the same row twice, and ignore a version that is not newer than the one it knows.

A row that its receiver keeps refusing is parked: it stays, with the error, and holds up its own key alone until
somebody sends it again. `python -m servicekit.outbox` shows what waits and what is parked, and sends it again.
"""

from servicekit.outbox.relay import Message, Relay, Topic
from servicekit.outbox.schema import SCHEMA_1, SCHEMA_2
from servicekit.outbox.writer import Outbox

__all__ = ["SCHEMA_1", "SCHEMA_2", "Message", "Outbox", "Relay", "Topic"]
