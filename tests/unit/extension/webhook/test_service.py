"""The webhooks of a file on a bus in memory, against real servers."""

from __future__ import annotations

import json
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

import pytest

from bus_amqp import EventBus, InvalidArgumentError, SettingsError, connect
from bus_amqp.extension.webhook.file import load_definitions
from bus_amqp.extension.webhook.history import History
from bus_amqp.extension.webhook.record import Delivery, Kind
from bus_amqp.extension.webhook.service import open_history, redeliver, refusals, send_test, webhook_subscribers
from bus_amqp.process.loader import load_subscribers
from tests.promise.subscribers import an_event, number_of
from tests.promise.waiting import wait_until
from tests.receiver import Receiver, Reply
from tests.unit.extension.webhook.names import ask_no_name_server

SECRET = "0123456789abcdef"


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    with Receiver() as receiver:
        yield receiver


@pytest.fixture
def bus(exchange: str) -> Iterator[EventBus]:
    with connect(f"memory://{exchange}", exchange=exchange) as bus:
        yield bus


def a_file(folder: Path, **hooks: str) -> Path:
    """Write webhooks by their names and lines."""
    text = '[network]\nallow = ["127.0.0.0/8"]\n' + "".join(
        f'[webhook.{name}]\nallow_http = true\nsecret = "{SECRET}"\n{lines}\n' for name, lines in hooks.items()
    )
    file = folder / "webhooks.toml"
    file.write_text(text)
    return file


@contextmanager
def running(bus: EventBus, file: Path) -> Iterator[History]:
    """Subscribe all of them; give the history to look at."""
    with webhook_subscribers(file) as subscribers:
        ids = bus.subscribe_all(subscribers)
        with closing(open_history(load_definitions(file))) as history:
            yield history
        for subscription_id in ids:
            bus.unsubscribe(subscription_id)


def test_events_come_as_requests(bus: EventBus, receiver: Receiver, tmp_path: Path) -> None:
    """The whole way: what the topics and the scope select, and nothing else."""
    topic = '[{ event_type = "VM.#" }, { event_category = "AlertEvent" }]'
    lines = f'url = "{receiver.url}"\ntopic = {topic}\naccount = "a-1"'
    mine = {"account": "a-1"}
    wanted = [an_event(details=mine), an_event(event_category="AlertEvent", event_type="X", details=mine)]
    others = [an_event(), an_event(event_type="VOLUME.CREATE", details=mine), an_event(details={"account": "a-2"})]
    with running(bus, a_file(tmp_path, crm=lines)) as history:
        bus.publish_many([*others, *wanted])

        receiver.wait_for(2)
        wait_until(lambda: len(history.latest()) == 2, "both are written down")
        bus.flush()

    assert {json.loads(one.body)["eventId"] for one in receiver.received} == {str(one.event_id) for one in wanted}
    assert all(one.is_success and one.kind is Kind.EVENT for one in history_of(tmp_path))


def history_of(folder: Path) -> list[Delivery]:
    with closing(open_history(load_definitions(folder / "webhooks.toml"))) as history:
        return list(history.latest())


def test_a_receiver_that_hangs_holds_up_no_other(bus: EventBus, receiver: Receiver, tmp_path: Path) -> None:
    """Each webhook is a subscription of its own, with threads and a queue of its own."""
    gate = threading.Event()
    with Receiver([Reply(gate=gate)]) as stuck:
        file = a_file(tmp_path, stuck=f'url = "{stuck.url}"\nworkers = 1', crm=f'url = "{receiver.url}"')
        with running(bus, file):
            bus.publish_many([an_event(number) for number in range(20)])

            receiver.wait_for(20)

            assert len(stuck.received) <= 1
            gate.set()


def test_a_failed_delivery_is_tried_again_by_the_bus(bus: EventBus, receiver: Receiver, tmp_path: Path) -> None:
    """And signed anew: the first signature is too old by then."""
    receiver.reply(Reply(500), Reply(204, body=b""))
    lines = f'url = "{receiver.url}"\nretry = {{ attempts = 3, delays_seconds = [1] }}'
    with running(bus, a_file(tmp_path, crm=lines)) as history:
        bus.publish(an_event())

        first, second = receiver.wait_for(2)
        wait_until(lambda: len(history.latest()) == 2, "both are written down")
        assert [one.status for one in history.latest()] == [204, 500]

    assert first.body == second.body
    assert first.headers["X-Bus-Event-Id"] == second.headers["X-Bus-Event-Id"]
    assert first.headers["X-Bus-Delivery-Id"] != second.headers["X-Bus-Delivery-Id"]


def test_an_ordered_webhook_tries_again_before_what_came_later(
    bus: EventBus, receiver: Receiver, tmp_path: Path
) -> None:
    """The one thing for which somebody asks for it."""
    receiver.reply(Reply(200), Reply(500), Reply(500), Reply(200))
    lines = f'url = "{receiver.url}"\nordered = true\nretry = {{ attempts = 5, delays_seconds = [0.05] }}'
    with running(bus, a_file(tmp_path, crm=lines)):
        bus.publish_many([an_event(number) for number in range(4)])

        requests = receiver.wait_for(6)

    assert [json.loads(one.body)["details"]["number"] for one in requests] == [0, 1, 1, 1, 2, 3]


def test_an_address_where_none_may_go_is_dead_lettered_at_once(
    bus: EventBus, receiver: Receiver, tmp_path: Path
) -> None:
    """It will be no better in an hour, and the reason is there to be read."""
    file = a_file(tmp_path, crm=f'url = "http://localhost:{receiver.port}/"')
    file.write_text(file.read_text().replace("127.0.0.0/8", "10.0.0.0/8"))
    with running(bus, file) as history:
        bus.publish(an_event())

        wait_until(lambda: sum(one.dead_lettered for one in bus.stats().subscriptions.values()), "a dead letter")
        (delivery,) = history.latest()

    assert "which is refused (loopback)" in str(delivery.error)
    assert receiver.received == []


def test_a_webhook_that_is_not_enabled_is_not_subscribed(bus: EventBus, receiver: Receiver, tmp_path: Path) -> None:
    """And a file of such webhooks alone is no reason to run a process."""
    lines = f'url = "{receiver.url}"'
    with webhook_subscribers(a_file(tmp_path, crm=lines, erp=f"{lines}\nenabled = false")) as subscribers:
        assert [one.options.group for one in subscribers] == ["webhook-crm"]

    with (
        pytest.raises(SettingsError, match="no webhook is enabled"),
        webhook_subscribers(a_file(tmp_path, erp=f"{lines}\nenabled = false")),
    ):
        pass


def test_what_is_in_hand_stays_under_the_brokers_patience(receiver: Receiver, tmp_path: Path) -> None:
    """RabbitMQ closes a consumer that holds an event for half an hour, and every receiver may time out."""
    lines = f'url = "{receiver.url}"\nworkers = 3\ntimeout_seconds = 25'
    with webhook_subscribers(a_file(tmp_path, crm=lines)) as subscribers:
        (declared,) = subscribers

    assert declared.options.prefetch is not None
    assert declared.options.prefetch / 3 * 25 < 10 * 60


def test_a_test_is_sent_past_the_bus_and_written_down(receiver: Receiver, tmp_path: Path) -> None:
    """The original does not store it, so that nobody can show what was answered."""
    definitions = load_definitions(a_file(tmp_path, crm=f'url = "{receiver.url}"\naccount = "nobody"'))

    delivery = send_test(definitions, "crm")

    (request,) = receiver.received
    assert json.loads(request.body)["eventType"] == request.headers["X-Bus-Event-Type"] == "WEBHOOK.TEST"
    assert request.headers["X-Bus-Delivery-Kind"] == "test"
    with closing(open_history(definitions)) as history:
        assert history.latest() == [delivery]
    assert (delivery.kind, delivery.status, delivery.excerpt) == (Kind.TEST, 200, "thank you")


def test_a_delivery_is_sent_again_with_the_same_event(bus: EventBus, receiver: Receiver, tmp_path: Path) -> None:
    """To one receiver, not to all: and signed anew."""
    file = a_file(tmp_path, crm=f'url = "{receiver.url}"', erp=f'url = "{receiver.url}/other"')
    event = an_event(7)
    with running(bus, file) as history:
        bus.publish(event)
        receiver.wait_for(2)
        wait_until(lambda: len(history.latest()) == 2, "both are written down")
        (earlier,) = history.latest(webhook="crm")

    again = redeliver(load_definitions(file), earlier.number)

    assert (again.kind, again.webhook, again.event_id) == (Kind.REDELIVERY, "crm", str(event.event_id))
    assert len(receiver.received) == 3
    request = receiver.received[-1]
    assert number_of(type(event).model_validate_json(request.body, by_alias=True, by_name=False)) == 7
    assert request.headers["X-Bus-Delivery-Kind"] == "redelivery"


def test_what_is_not_in_the_history_cannot_be_sent_again(tmp_path: Path) -> None:
    """It was forgotten, or never was."""
    definitions = load_definitions(a_file(tmp_path, crm='url = "http://127.0.0.1:1/"'))

    with pytest.raises(InvalidArgumentError, match="no delivery 7"):
        redeliver(definitions, 7)


def test_names_that_lead_where_none_may_go_are_found_on_request(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The start does not ask name servers; whoever wants to know before the first event does."""
    ask_no_name_server(monkeypatch)
    file = a_file(tmp_path, good='url = "http://127.0.0.1/"', bad='url = "http://localhost/"')
    file.write_text(file.read_text() + '[webhook.gone]\nurl = "https://gone.invalid/"\nunsigned = true\n')
    file.write_text(file.read_text().replace('"127.0.0.0/8"', '"127.0.0.0/8", "::1/128"'))
    [(webhook, why)] = refusals(load_definitions(file))
    assert webhook.name == "gone"
    assert why.startswith("gone.invalid cannot be looked up: ")

    file.write_text(file.read_text().replace('"127.0.0.0/8", "::1/128"', "").replace("127.0.0.1", "8.8.8.8"))
    assert [webhook.name for webhook, _ in refusals(load_definitions(file))] == ["bad", "gone"]


def test_bus_amqp_run_takes_it_from_a_function(
    bus: EventBus, receiver: Receiver, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An operator may put webhooks and subscribers of his own into one process."""
    file = a_file(tmp_path, crm=f'url = "{receiver.url}"')
    (tmp_path / "my_hooks.py").write_text(
        "from bus_amqp.extension.webhook.service import webhook_subscribers\n"
        f"def webhooks(bus): return webhook_subscribers({str(file)!r})\n"
    )
    monkeypatch.chdir(tmp_path)

    with load_subscribers("my_hooks:webhooks")(bus) as subscribers:
        assert [one.options.group for one in subscribers] == ["webhook-crm"]


def test_without_the_extra_it_says_what_to_install(tmp_path: Path) -> None:
    """The library is optional, and its absence is no riddle."""
    file = a_file(tmp_path, crm='url = "http://127.0.0.1/"')
    program = (
        "import sys; sys.modules['httpcore2'] = None\n"
        "from bus_amqp.extension.webhook.service import webhook_subscribers\n"
        f"with webhook_subscribers({str(file)!r}): pass\n"
    )

    ended = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=False)

    assert ended.stderr.splitlines()[-1].endswith(
        "SettingsError: webhooks need the library httpcore2: pip install 'bus-amqp[webhook]'"
    )
