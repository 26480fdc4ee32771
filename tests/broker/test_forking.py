"""``os.fork`` after ``connect``: the child has a bus of its own, and the parent's goes on as if nothing had happened.

What the programs do is in ``forking.py``.
"""

import json
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from bus_amqp import EventTopic, connect
from bus_amqp.settings import child_environment
from bus_amqp.testing.broker import RealBroker
from bus_amqp.testing.recorder import Recorder
from tests.broker.forking import CHILD_EVENTS, FORKS
from tests.broker.tls_brokers import TlsBroker, start
from tests.real_brokers import LOCAL

ROOT = Path(__file__).resolve().parents[2]
PROGRAM_SECONDS = 150


def run(program: str, url: str, exchange: str, **settings: str) -> Any:
    """Run a program to its end; return what it printed.  ``settings`` go by the environment."""
    ran = subprocess.run(
        [sys.executable, "-m", "tests.broker.forking", program, url, exchange],
        cwd=ROOT,
        env=child_environment(**settings),
        capture_output=True,
        text=True,
        timeout=PROGRAM_SECONDS,
        check=False,
    )
    assert ran.returncode == 0, ran.stderr
    assert "Traceback" not in ran.stderr, ran.stderr
    return json.loads(ran.stdout)


@pytest.fixture(scope="module")
def secure(tmp_path_factory: pytest.TempPathFactory) -> Iterator[TlsBroker]:
    """A broker with TLS.  One version is enough: what is tested is ours."""
    made = start(LOCAL, tmp_path_factory.mktemp("tls"), hosts=("127.0.0.1",))
    with made.broker:
        yield made


@pytest.fixture(params=["in memory", "on disk"])
def outbox(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[dict[str, str]]:
    """The settings for either kind of outbox; on disk, no process may leave an event behind."""
    directory = tmp_path / "outbox"
    yield {} if request.param == "in memory" else {"publisher__outbox_directory": str(directory)}
    assert not list(directory.glob("*.outbox"))


@pytest.fixture
def recorder(rabbitmq_url: str, exchange: str) -> Iterator[Recorder]:
    """A subscriber in another process than those that fork: this one."""
    made = Recorder()
    with connect(rabbitmq_url, exchange=exchange) as bus:
        bus.subscribe(EventTopic(), made)
        yield made


def events_by(recorder: Recorder) -> Counter[str]:
    """How many events each process and thread has published."""
    return Counter(event.resource_uuid for event in recorder.events)


@pytest.mark.slow
def test_forking_at_full_rate_shares_nothing_and_loses_nothing(
    rabbitmq_4: RealBroker, exchange: str, outbox: dict[str, str]
):
    """A shared socket would corrupt the parent's stream, a shared outbox send its events twice."""
    recorder = Recorder()
    with connect(rabbitmq_4.url, exchange=exchange) as bus:  # in another process than those that fork: this one
        bus.subscribe(EventTopic(), recorder)
        told = run("full_rate", rabbitmq_4.url, exchange, **outbox)
        total = sum(told["published"]) + FORKS * CHILD_EVENTS
        recorder.wait_for(total, 60)

    assert told["statuses"] == [0] * FORKS
    assert told["reconnects"] == 0
    assert min(told["published"]) > 0
    assert told["seen"] == total
    counts = events_by(recorder)
    assert [counts[f"parent-{index}"] for index in range(3)] == told["published"]
    assert {counts[f"child-{number}"] for number in range(FORKS)} == {CHILD_EVENTS}
    assert len(recorder.events) == len(set(recorder.ids)) == total
    for who in counts:
        numbers = [event.details["number"] for event in recorder.events if event.resource_uuid == who]
        assert numbers == list(range(len(numbers))), who


def test_forking_while_every_lock_is_held(rabbitmq_url: str, exchange: str, outbox: dict[str, str]):
    """The thread that holds it is not in the child: nobody would ever let go."""
    assert run("locks_held", rabbitmq_url, exchange, **outbox) == 0


def test_a_child_that_uses_no_bus_holds_nothing_of_it(rabbitmq_url: str, exchange: str):
    """A descriptor kept in a child would hide the parent's death from the broker."""
    told = run("idle_child", rabbitmq_url, exchange)

    assert told["sockets_of_parent"] >= 2
    assert (told["sockets"], told["threads"]) == (0, 1)
    assert told["state"] == "connecting"
    assert (told["status"], told["reconnects"]) == (0, 0)


def test_receipts_of_the_parent_are_an_error_in_the_child(rabbitmq_url: str, exchange: str):
    """Nobody settles them there: without an error ``result()`` would hang."""
    told = run("receipts_of_parent", rabbitmq_url, exchange)

    assert told["status"] == 0
    assert "its parent sends it" in told["told"][0]
    assert told["told"][1] == "awaited"
    assert told["state"] == "accepted"
    assert "1 events could not be sent" in told["close"]


def test_a_bus_in_memory_is_an_error_in_the_child(rabbitmq_url: str, exchange: str):
    """Published there, events would reach nobody, silently."""
    told = run("memory", rabbitmq_url, exchange)

    assert told["status"] == 0
    assert len(told["told"]) == 3
    assert all("connect again" in text for text in told["told"])


def test_a_child_that_cannot_have_an_outbox_is_told_and_uses_nothing_of_its_parent(
    rabbitmq_url: str, exchange: str, tmp_path: Path
):
    """Its publishes went into an outbox that no thread emptied, under locks that nobody would release."""
    told = run("directory_gone", rabbitmq_url, exchange, publisher__outbox_directory=str(tmp_path / "outbox"))

    assert told["status"] == 0
    assert "cannot go on in a forked process: outbox directory" in told["told"]


def test_a_pre_forking_server_publishes_from_its_workers(
    rabbitmq_url: str, exchange: str, recorder: Recorder, outbox: dict[str, str]
):
    """As gunicorn with a preloaded application: connect once, then fork."""
    told = run("pre_fork", rabbitmq_url, exchange, **outbox)

    assert told == {"statuses": [0, 0, 0], "accepted": 0, "reconnects": 0}
    recorder.wait_for(3 * CHILD_EVENTS, 20)
    assert events_by(recorder) == {f"worker-{number}": CHILD_EVENTS for number in range(3)}


def test_multiprocessing_workers_have_buses_of_their_own(rabbitmq_url: str, exchange: str, recorder: Recorder):
    """Publishing and subscribing, as in the parent."""
    assert run("multiprocess", rabbitmq_url, exchange) == [0, 0, 0, 0]

    recorder.wait_for(5 * CHILD_EVENTS, 20)
    assert set(events_by(recorder).values()) == {CHILD_EVENTS}


@pytest.mark.parametrize("program", ["idle_child", "pre_fork"])
def test_over_tls_the_child_says_nothing_on_the_parents_connection(secure: TlsBroker, exchange: str, program: str):
    """A close_notify from the child would end the parent's session; its own begins with a handshake of its own."""
    told = run(program, secure.url(), exchange, connection__ca_file=str(secure.authority.file))

    assert told["reconnects"] == 0
    assert told.get("status", 0) == 0
    assert told.get("statuses", [0]) in ([0], [0, 0, 0])
