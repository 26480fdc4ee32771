"""Find the message for whose sake the broker closes the channel: the close names none.

Pure bookkeeping.  The messages that were open are suspects.  They are sent again in order, in batches that are
confirmed whole before the next one goes; a batch that costs the channel is divided.  One refused alone is at fault.
Sixteenths: of 4,096 suspects the culprit is found with three more closes, and a good message before it is sent at
most four times (halves: twelve; one by one: once, and four thousand round trips).

A broker that rejects (``basic.nack``) is probed in the same way: of a whole window sent again it could take a later
message first (measured in a cluster whose node was cut off: 236 events behind later ones of their resource).
"""

from __future__ import annotations

PARTS = 16
BATCH_AT_MOST = 512  # when batches as large as that pass, there is nothing more to look for


class Isolation:
    """How many messages may be under way.  Publisher thread only."""

    def __init__(self) -> None:
        self._batch: int | None = None
        self._suspects = 0  # how many of the next messages contain the culprit, if it is still one

    def __repr__(self) -> str:
        return f"<Isolation batch {self._batch}, {self._suspects} suspects>"

    @property
    def batch_events(self) -> int | None:
        """How many to send and have confirmed before the next.  None: nothing is suspected."""
        return self._batch

    def refused(self, open_events: int) -> bool:
        """Note that the broker closed the channel over one of these.  Return whether it is found: there was only one.

        After a culprit there may be more (a missing right refuses all of them), so it goes on with one at a time.
        """
        is_found = open_events == 1
        self._suspects = 0 if is_found else open_events
        self._batch = 1 if is_found else min(BATCH_AT_MOST, -(-open_events // PARTS))
        return is_found

    def probe(self) -> None:
        """Note that the broker rejected messages: it is asked with one at a time until it takes them again."""
        self._batch = 1

    def passed(self) -> None:
        """Note that a batch was confirmed."""
        if self._batch is None:
            return
        self._suspects = max(0, self._suspects - self._batch)
        if not self._suspects:
            self._batch *= 2
            if self._batch > BATCH_AT_MOST:
                self._batch = None
