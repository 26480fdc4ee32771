"""``bus-amqp publish``, ``tail``, ``run`` and ``broker`` against a real broker, as processes."""

import json
import signal
from pathlib import Path

import pytest

from bus_amqp.testing.broker import RealBroker
from tests.demo.processes import SECONDS, bus_amqp, read_until, started
from tests.promise.waiting import wait_until

EVENT = ["-c", "UsageEvent", "-t", "VM.START", "-s", "shell"]


def test_what_is_published_is_seen_by_tail(rabbitmq_4: RealBroker, exchange: str) -> None:
    """The two commands that an operator tries first."""
    with started("tail", "--type", "VM.#", "-n", "1", url=rabbitmq_4.url, exchange=exchange) as tail:
        read_until(tail, "subscribed")

        about = ["--resource-type", "VirtualMachine", "--resource-uuid", "vm-1", "-d", "two\nlines"]
        published = bus_amqp("publish", *EVENT, *about, "--mandatory", url=rabbitmq_4.url, exchange=exchange)

        out, _ = tail.communicate(timeout=SECONDS)
    assert published.stdout == "1 published, 1 confirmed, 0 refused\n"
    assert published.returncode == 0
    assert tail.returncode == 0
    assert out.endswith("VM.START                 VirtualMachine vm-1 shell two lines\n")


def test_what_tail_writes_publish_reads(rabbitmq_4: RealBroker, exchange: str, tmp_path: Path) -> None:
    """`tail --json | publish -` copies events: nothing of an event may be lost on the way through a pipe."""
    event = {
        "eventCategory": "ActionEvent", "eventType": "VM.STOP", "eventSource": "a", "details": {"n": [1, None, "ü"]},
        "eventId": "0197f3c2-5b1e-7c44-9d2a-3f6b8e1d7a90", "correlationId": "c-1",
    }  # fmt: skip
    with started("tail", "--json", url=rabbitmq_4.url, exchange=exchange) as tail:
        read_until(tail, "subscribed")
        file = tmp_path / "events.jsonl"
        file.write_text(json.dumps(event) + "\n\n")
        assert bus_amqp("publish", str(file), url=rabbitmq_4.url, exchange=exchange).returncode == 0
        assert tail.stdout is not None
        first = tail.stdout.readline()

        again = bus_amqp("publish", "-", stdin=first, url=rabbitmq_4.url, exchange=exchange)

        assert again.stdout == "1 published, 1 confirmed, 0 refused\n"
        assert tail.stdout.readline() == first
    assert event.items() <= json.loads(first).items()


def test_a_bad_line_is_told_and_the_others_go_on(rabbitmq_4: RealBroker, exchange: str) -> None:
    """One broken line in a million must neither stop the rest nor pass unnoticed."""
    lines = ['{"eventType": "X"}', "nonsense", '{"eventCategory": "A", "eventType": "B", "eventSource": "c"}']

    ended = bus_amqp("publish", "-", stdin="\n".join(lines), url=rabbitmq_4.url, exchange=exchange)

    assert ended.returncode == 1
    assert ended.stdout == "1 published, 1 confirmed, 2 refused\n"
    assert ended.stderr.startswith("error: line 1: eventCategory: Field required; eventSource: Field required\n")
    assert "error: line 2: input: Invalid JSON" in ended.stderr


def test_an_event_that_nobody_wants_fails_if_it_is_mandatory(rabbitmq_4: RealBroker, exchange: str) -> None:
    """The status must be that of the broker's answer, not of having sent something."""
    ended = bus_amqp("publish", *EVENT, "--mandatory", url=rabbitmq_4.url, exchange=exchange)

    assert (ended.returncode, ended.stdout) == (1, "1 published, 0 confirmed, 0 refused\n")
    assert ended.stderr.count("\n") == 1


@pytest.mark.parametrize(("number", "status"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_tail_ends_by_convention(rabbitmq_4: RealBroker, exchange: str, number: signal.Signals, status: int) -> None:
    """Ctrl-C is the usual end of tail: no traceback, and the shell's own status for it."""
    with started("tail", url=rabbitmq_4.url, exchange=exchange) as tail:
        read_until(tail, "subscribed")
        tail.send_signal(number)
        out, err = tail.communicate(timeout=SECONDS)

    assert (tail.returncode, out, err) == (status, "", "")


def test_tail_ends_when_nobody_reads_any_more(rabbitmq_4: RealBroker, exchange: str) -> None:
    """`tail | head` must not stay behind, not even when no further event comes."""
    with started("tail", url=rabbitmq_4.url, exchange=exchange) as tail:
        read_until(tail, "subscribed")
        assert tail.stdout is not None
        tail.stdout.close()

        assert tail.wait(SECONDS) == 0
        assert tail.stderr is not None
        assert tail.stderr.read() == ""


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_run_serves_until_a_signal(
    rabbitmq_4: RealBroker, exchange: str, tmp_path: Path, number: signal.Signals
) -> None:
    """A consumer process under a service manager: ready when it says so, status 0 when it is stopped."""
    (tmp_path / "mine.py").write_text(
        "from bus_amqp import Event, EventTopic, Subscribers\n"
        "from pathlib import Path\n"
        "subscribers = Subscribers()\n"
        "@subscribers.on(EventTopic(event_category='UsageEvent'), group='mine')\n"
        "def count(event: Event) -> None:\n"
        "    with Path('handled').open('a') as file: file.write(event.event_type)\n"
    )
    options = ["--ready-file", "ready", "--ledger", "books"]
    with started("run", "mine:subscribers", *options, url=rabbitmq_4.url, exchange=exchange, cwd=tmp_path) as process:
        wait_for(tmp_path / "ready")
        assert bus_amqp("publish", *EVENT, url=rabbitmq_4.url, exchange=exchange).returncode == 0
        wait_for(tmp_path / "handled")
        process.send_signal(number)
        _, err = process.communicate(timeout=SECONDS)

    assert process.returncode == 0
    assert "Traceback" not in err
    assert (tmp_path / "handled").read_text() == "VM.START"
    assert json.loads((tmp_path / "books").read_text())["what"] == "handled"


def test_no_password_is_in_what_the_command_says(rabbitmq_4: RealBroker, exchange: str) -> None:
    """P9: what a command says ends up in logs and tickets."""
    url = rabbitmq_4.url.replace("guest:guest@", "guest:s3cret@")

    wrong = bus_amqp("publish", *EVENT, url=url, exchange=exchange)

    assert wrong.returncode == 1
    assert "s3cret" not in wrong.stdout + wrong.stderr
    assert wrong.stderr.splitlines()[-1].startswith("error: ")


def test_status_tells_which_broker_answers(rabbitmq_4: RealBroker) -> None:
    """The first question when nothing arrives."""
    ended = bus_amqp("broker", "status", url=rabbitmq_4.url)

    assert ended.returncode == 0
    assert "RabbitMQ 4" in ended.stdout
    assert "guest:guest" not in ended.stdout


def wait_for(file: Path) -> None:
    """Wait until a process has made the file."""
    wait_until(file.exists, f"{file.name} is made")
