"""The scene, from its command line to its exit status."""

import tempfile
from collections.abc import Callable
from pathlib import Path

import pytest

from bus_amqp.cli.demo import conductor
from bus_amqp.cli.demo.conductor import Wish, run_demo
from bus_amqp.cli.demo.publisher import Load
from bus_amqp.cli.main import main
from bus_amqp.errors import TransportError
from bus_amqp.event import Event
from bus_amqp.settings import Settings
from bus_amqp.testing.broker import RealBroker
from docs.examples import billing
from tests.demo.processes import SECONDS, bus_amqp, started


def objects_on(broker: RealBroker) -> set[str]:
    """Return all exchanges and queues."""
    lists = (broker.rabbitmqctl("-q", f"list_{kind}", "name") for kind in ("exchanges", "queues"))
    return {line for each in lists for line in each.splitlines()}


class BorrowedBroker(RealBroker):
    """The broker of the test run, as if the demonstration had started it: it may kill it, but not end it."""

    def __init__(self, lender: RealBroker) -> None:
        self._lender = lender
        self.url = lender.url
        self.version = lender.version
        self.killed = 0

    @property
    def kind(self) -> str:
        """As the lender's."""
        return self._lender.kind

    def kill(self) -> None:
        """Kill the lender's."""
        self.killed += 1
        self._lender.kill()

    def start(self) -> None:
        """Start the lender's."""
        self._lender.start()

    def restart(self) -> None:
        """Restart the lender's."""
        self._lender.restart()

    def stop(self) -> None:
        """Give it back, running."""
        self._lender.start()

    def rabbitmqctl(self, *arguments: str, timeout_seconds: float = 60) -> str:
        """Ask the lender's."""
        return self._lender.rabbitmqctl(*arguments, timeout_seconds=timeout_seconds)


def test_the_scene_on_memory_loses_nothing(
    capfd: pytest.CaptureFixture[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Where no broker can be had, the demonstration still shows the bus, and says what it ran on."""
    monkeypatch.chdir(tmp_path)
    picture = tmp_path / "demo.svg"

    status = main(["demo", "--events", "1500", "--rate", "0", "--url", "memory://", "--screenshot", str(picture)])

    told = capfd.readouterr()
    assert status == 0, told
    assert "in-process broker" in told.out
    assert "1,500" in told.out
    assert picture.read_text().startswith("<svg")
    assert "url(http" not in picture.read_text()
    assert list(tmp_path.iterdir()) == [picture], "the books of the parties are not left here"


def test_without_a_broker_it_goes_on_with_memory_and_says_so(
    capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """A fresh machine without any broker must not end in an error, nor pretend to be a real broker."""

    def no_broker(**options: object) -> RealBroker:
        raise TransportError("no RabbitMQ to be had")

    monkeypatch.setattr(conductor, "start_broker", no_broker)

    assert run_demo(Wish(Load(events=300, rate=0)), Settings())

    told = capfd.readouterr().err
    assert "no RabbitMQ to be had" in told
    assert "memory://" in told


def test_a_lost_event_is_status_1_and_the_books_are_kept(
    monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    """A demonstration that always ends well would show nothing."""
    record: Callable[[billing.Books, Event], None] = billing.Books.on_event
    refused: list[Event] = []

    def forget_one(books: billing.Books, event: Event) -> None:
        if not refused:
            refused.append(event)
            raise ValueError("billing has dropped this one")
        record(books, event)

    monkeypatch.setattr(billing.Books, "on_event", forget_one)
    monkeypatch.setattr(conductor, "_STUCK_SECONDS", 0.5)
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))

    assert main(["demo", "--events", "1000", "--rate", "0", "--url", "memory://"]) == 1
    told = capfd.readouterr()
    assert len(refused) == 1
    assert "error: not every event reached every party" in told.err
    (kept,) = tmp_path.iterdir()
    assert str(kept) in told.err
    assert {file.name for file in kept.glob("*.jsonl")} >= {"management-server.jsonl", "workflow.jsonl"}


def test_the_scene_as_processes_on_a_given_broker(
    rabbitmq_4: RealBroker, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The main job: separate processes, a real RabbitMQ, nothing lost; and nothing in the user's own books."""
    monkeypatch.setenv("BILLING_DATABASE_URL", f"sqlite:///{tmp_path / 'mine.sqlite'}")
    monkeypatch.setenv("WORKFLOW_FILE", str(tmp_path / "mine.workflow"))

    ended = bus_amqp("demo", "--events", "1500", "--rate", "1000", url=rabbitmq_4.url)

    assert ended.returncode == 0, ended.stderr
    whole = next(line.split() for line in ended.stdout.splitlines() if line.split()[:1] == ["all"])
    lost = whole[4]
    assert lost == "0"
    assert "RabbitMQ 4" in ended.stdout
    assert list(tmp_path.iterdir()) == []


def test_two_at_once_on_a_given_broker_do_not_meet_and_leave_nothing(rabbitmq_4: RealBroker) -> None:
    """On one exchange each counted the other's events, and the queues of the groups stayed for good."""
    url, options = rabbitmq_4.url, ["demo", "--events", "600", "--rate", "600"]
    before = objects_on(rabbitmq_4)

    with started(*options, url=url) as one, started(*options, "--seed", "2", url=url) as two:
        told = [(process.communicate(timeout=2 * SECONDS), process.returncode) for process in (one, two)]

    assert [status for _, status in told] == [0, 0], told
    hints = {line for (_, err), _ in told for line in err.splitlines() if "bus-amqp tail --exchange bus.demo-" in line}
    assert len(hints) == 2, told
    assert objects_on(rabbitmq_4) == before


def test_nothing_is_lost_when_the_broker_is_killed_in_the_middle(
    rabbitmq_4: RealBroker, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    """P2, before the eyes of whoever presses K: published goes on, waiting grows, delivered catches up."""
    broker = BorrowedBroker(rabbitmq_4)
    monkeypatch.setattr(conductor, "start_broker", lambda **options: broker)

    assert run_demo(Wish(Load(events=4000, rate=700), kill_at=0.3), Settings()), capfd.readouterr()

    assert broker.killed == 1


def test_a_broker_that_does_not_answer_is_told_before_anything_starts(monkeypatch: pytest.MonkeyPatch) -> None:
    """Five processes that each fail for the same reason would say it five times."""
    monkeypatch.setenv("BUS_AMQP_CONNECTION__CONNECT_TIMEOUT_SECONDS", "0.3")

    ended = bus_amqp("demo", "--events", "10", url="amqp://guest:guest@127.0.0.1:1/")

    assert ended.returncode == 1
    assert ended.stderr.splitlines()[-1].startswith("error: ")
    assert "starting the parties" not in ended.stderr
