"""The transactional outbox: messages to another part, written with the change itself and delivered at least once.

`Outbox.add` writes a row in the transaction of the change. Each worker has a `Relay`, which locks one row at a time and
calls the handler of its topic. The delivery's transaction deletes the row, so a worker that dies leaves the row to
another one. Rows of the same key are delivered in the order in which they were written, one at a time across all
workers. A receiver must accept a row twice, and ignore a version that is not newer than its own.

A row that its receiver keeps refusing is parked: it stays in the table, with its error, and blocks only its own key
until a person sends it again. `python -m servicekit.outbox` shows waiting and parked rows, and sends parked ones again.
"""

from servicekit.outbox.relay import Message, PutOff, Relay, Topic
from servicekit.outbox.schema import SCHEMA_1, SCHEMA_2
from servicekit.outbox.writer import Outbox

__all__ = ["SCHEMA_1", "SCHEMA_2", "Message", "Outbox", "PutOff", "Relay", "Topic"]
