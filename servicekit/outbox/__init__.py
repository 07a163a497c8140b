"""The transactional outbox: messages to another part, written with the change itself and delivered at least once.

`Outbox.add` writes a row in the transaction of the change. Each worker has a `Relay`, which claims due rows and calls
the handlers of their topics, several at once and the topics apart. No transaction is open during a delivery. The row is
deleted afterwards, so a worker that dies leaves it to another one. Rows of the same key are delivered in the order in
which they were written, one at a time across all workers. A receiver must accept a row twice, and ignore a version that
is not newer than its own.

A row that its receiver keeps refusing is parked: it stays in the table, with its error, and blocks only its own key
until a person sends it again. `python -m servicekit.outbox` shows waiting and parked rows, and sends parked ones again.
"""

from servicekit.outbox.relay import Relay
from servicekit.outbox.schema import SCHEMA_1, SCHEMA_2, SCHEMA_3
from servicekit.outbox.topic import Message, PutOff, Topic
from servicekit.outbox.writer import Outbox

__all__ = ["SCHEMA_1", "SCHEMA_2", "SCHEMA_3", "Message", "Outbox", "PutOff", "Relay", "Topic"]
