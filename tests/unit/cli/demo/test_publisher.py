import json
from collections import Counter
from itertools import islice
from pathlib import Path

from bus_amqp import connect
from bus_amqp.cli.demo.cloud import Cloud
from bus_amqp.cli.demo.failures import CLOSED, OPENED, Failures
from bus_amqp.cli.demo.publisher import Load, publish_stream
from bus_amqp.process.ledger import Ledger

EVENTS = 2001


def test_what_was_published_and_what_follows_from_it_is_written_down(tmp_path: Path, exchange: str) -> None:
    """The tally knows nothing but these lines: a failure that is not in them would ask nothing of the workflow."""
    books = tmp_path / "ledger"
    with Ledger(books) as ledger, connect(f"memory://{exchange}") as bus:  # closing the bus ends the last callbacks
        assert publish_stream(bus, Load(EVENTS, rate=0), ledger) == EVENTS
        bus.flush(10)

    failures = Failures()
    foreseen = Counter(what for event in islice(Cloud(1).events(), EVENTS) for what, _ in failures.note(event))
    written = Counter(json.loads(line)["what"] for line in books.read_text().splitlines())
    assert foreseen[OPENED] > foreseen[CLOSED] > 0
    assert written == {"accepted": EVENTS, "confirmed": EVENTS, **foreseen}


def test_it_ends_when_nobody_wants_more(exchange: str) -> None:
    """Ctrl-C in the middle of a moment: what was begun is not finished for its own sake."""
    left = iter(range(100))
    with connect(f"memory://{exchange}") as bus:
        assert publish_stream(bus, Load(EVENTS, rate=0), is_wanted=lambda: next(left, None) is not None) == 100
