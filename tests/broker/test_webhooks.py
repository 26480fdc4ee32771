"""``bus-amqp webhooks run`` as a process, on real brokers, with real receivers: nothing is lost and none waits."""

from __future__ import annotations

import json
import signal
import subprocess
import threading
from collections import Counter
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

import pytest

from bus_amqp import Event, connect
from bus_amqp.extension.webhook.file import load_definitions
from bus_amqp.extension.webhook.record import Delivery
from bus_amqp.extension.webhook.service import open_history
from bus_amqp.testing.free_port import free_port
from tests.demo.processes import SECONDS, bus_amqp, started
from tests.promise.subscribers import an_event, events_of
from tests.promise.waiting import wait_until
from tests.receiver import Received, Receiver, Reply


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    with Receiver() as receiver:
        yield receiver


class Desk:
    """One file of webhooks on one broker."""

    def __init__(self, url: str, exchange: str, folder: Path) -> None:
        self.url, self.exchange, self.folder = url, exchange, folder
        self.file = folder / "webhooks.toml"
        self.file.write_text('[network]\nallow = ["127.0.0.0/8"]\n')

    def define(self, name: str, url: str, more: str = "") -> None:
        with self.file.open("a") as file:
            file.write(
                f'[webhook.{name}]\nurl = "{url}"\nallow_http = true\nsecret = "0123456789abcdef"\n'
                f"retry = {{ attempts = 4, delays_seconds = [1] }}\n{more}\n"
            )

    @contextmanager
    def running(self, name: str = "one") -> Iterator[subprocess.Popen[str]]:
        """A process that is ready."""
        ready = self.folder / f"{name}.ready"
        arguments = ("webhooks", "run", str(self.file), "--ready-file", str(ready), "--name", name)
        with started(*arguments, url=self.url, exchange=self.exchange, cwd=self.folder) as process:
            wait_until(lambda: ready.exists() or process.poll() is not None, "it is ready")
            assert process.poll() is None, process.communicate()[1]
            yield process

    def publish(self, *events: Event) -> None:
        with connect(self.url, exchange=self.exchange) as bus:
            bus.publish_many(events)

    def command(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        return bus_amqp(*arguments, url=self.url, exchange=self.exchange, cwd=self.folder)

    @property
    def deliveries(self) -> list[Delivery]:
        with closing(open_history(load_definitions(self.file))) as history:
            return list(history.latest(limit=1000))


@pytest.fixture
def desk(rabbitmq_url: str, exchange: str, tmp_path: Path) -> Desk:
    return Desk(rabbitmq_url, exchange, tmp_path)


def ids(requests: list[Received]) -> Counter[str]:
    return Counter(request.headers["X-Bus-Event-Id"] for request in requests)


def test_a_delivery_that_failed_comes_back_through_the_broker(desk: Desk, receiver: Receiver) -> None:
    """500, then 200: the event waits on the broker, the process with the others goes on, and ends well."""
    receiver.reply(Reply(500), Reply(200))
    desk.define("crm", receiver.url, "workers = 1")
    failing, other = an_event(0, "r-0"), an_event(1, "r-1")
    with desk.running() as process:
        desk.publish(failing, other)

        requests = receiver.wait_for(3)
        wait_until(lambda: len(desk.deliveries) == 3, "all are written down")
        process.send_signal(signal.SIGTERM)
        _, err = process.communicate(timeout=SECONDS)

    assert (process.returncode, "Traceback" in err) == (0, False)
    assert [request.headers["X-Bus-Event-Id"] for request in requests] == [
        str(event.event_id) for event in (failing, other, failing)
    ]
    assert [one.status for one in desk.deliveries] == [200, 200, 500]


def test_a_webhook_that_fails_or_hangs_delays_no_other(desk: Desk, receiver: Receiver) -> None:
    """One whose receiver is down, one whose receiver never answers, and one that is well, in one process."""
    gate = threading.Event()
    with Receiver([Reply(gate=gate)]) as stuck:
        desk.define("down", f"http://127.0.0.1:{free_port()}/")
        desk.define("stuck", stuck.url, "workers = 1\ntimeout_seconds = 25")
        desk.define("crm", receiver.url)
        events = events_of(200, resources=20)
        with desk.running():
            desk.publish(*events)

            receiver.wait_for(200)

            assert len(stuck.received) == 1
            gate.set()
    assert ids(receiver.received) == Counter(str(event.event_id) for event in events)


def test_events_wait_for_a_receiver_and_for_the_process(desk: Desk) -> None:
    """The receiver is down, then the process too: when both are back the event is delivered."""
    port = free_port()
    desk.define("crm", f"http://127.0.0.1:{port}/")
    waiting, later = an_event(0, "r-0"), an_event(1, "r-1")
    with desk.running() as process:
        desk.publish(waiting)
        wait_until(lambda: desk.deliveries, "a first attempt")
        process.send_signal(signal.SIGTERM)
        process.communicate(timeout=SECONDS)
    desk.publish(later)

    with Receiver(port=port) as receiver, desk.running():
        requests = receiver.wait_for(2)

    assert set(ids(requests)) == {str(waiting.event_id), str(later.event_id)}


def test_a_killed_process_loses_nothing(desk: Desk, receiver: Receiver) -> None:
    """At least once: what was not answered yet goes to the next process, with the same id."""
    gate = threading.Event()
    receiver.reply(Reply(gate=gate), Reply(gate=gate), Reply())
    desk.define("crm", receiver.url, "workers = 2")
    events = [an_event(number, f"r-{number}") for number in range(10)]
    with desk.running() as process:
        desk.publish(*events)
        receiver.wait_for(2)
        process.kill()
        process.communicate(timeout=SECONDS)
    gate.set()

    with desk.running("two"):
        wait_until(lambda: len(ids(receiver.received)) == 10, "all ten")
        wait_until(lambda: len(desk.deliveries) == 10, "all are written down")

    assert sum(ids(receiver.received).values()) == 12


def test_a_request_in_hand_is_finished_before_the_process_ends(desk: Desk, receiver: Receiver) -> None:
    """A deployment of ours must not be a duplicate for the receiver."""
    gate = threading.Event()
    receiver.reply(Reply(gate=gate), Reply())
    desk.define("crm", receiver.url)
    with desk.running() as process:
        desk.publish(an_event(0, "r-0"))
        receiver.wait_for(1)
        process.send_signal(signal.SIGTERM)
        with pytest.raises(subprocess.TimeoutExpired):  # it waits for the answer
            process.wait(1)
        gate.set()
        process.communicate(timeout=SECONDS)
        assert process.returncode == 0
    desk.publish(an_event(1, "r-1"))

    with desk.running("two"):
        receiver.wait_for(2)

    assert list(ids(receiver.received).values()) == [1, 1]


def test_processes_share_the_work_and_the_history(desk: Desk, receiver: Receiver) -> None:
    """Started twice, each event is delivered once."""
    desk.define("crm", receiver.url)
    events = events_of(300, resources=30)
    with desk.running("one"), desk.running("two"):
        desk.publish(*events)
        receiver.wait_for(300)
        wait_until(lambda: len(desk.deliveries) == 300, "all are written down")

    assert set(ids(receiver.received).values()) == {1}


def test_what_is_used_up_waits_among_the_dead_letters_and_can_be_put_back(desk: Desk, receiver: Receiver) -> None:
    """The operator's usual tools are enough: a webhook's queue is a group's."""
    receiver.reply(Reply(500))
    desk.define("crm", receiver.url)
    event = an_event()
    with desk.running():
        desk.publish(event)
        receiver.wait_for(4)
        wait_until(lambda: dead_letters(desk), "a dead letter")
        (letter,) = dead_letters(desk)
        assert "status 500" in json.dumps(letter)

        receiver.reply(Reply(200))
        assert desk.command("dead-letters", "retry", "--group", "webhook-crm").returncode == 0
        receiver.wait_for(5)

    assert ids(receiver.received) == {str(event.event_id): 5}


def dead_letters(desk: Desk) -> list[object]:
    """Return what `dead-letters list` shows."""
    ended = desk.command("dead-letters", "list", "--group", "webhook-crm", "--json")
    return [json.loads(line) for line in ended.stdout.splitlines()]


def test_a_delivery_is_sent_again_while_the_process_runs(desk: Desk, receiver: Receiver) -> None:
    """From another process, to the one receiver, past the bus."""
    desk.define("crm", receiver.url)
    desk.define("erp", f"{receiver.url}/erp")
    with desk.running():
        desk.publish(an_event())
        receiver.wait_for(2)
        wait_until(lambda: len(desk.deliveries) == 2, "both are written down")
        number = next(one.number for one in desk.deliveries if one.webhook == "crm")

        ended = desk.command("webhooks", "redeliver", str(desk.file), str(number))

    assert ended.returncode == 0, ended.stderr
    assert Counter(request.path for request in receiver.received) == {"/hook": 2, "/hook/erp": 1}
    assert len(ids(receiver.received)) == 1
