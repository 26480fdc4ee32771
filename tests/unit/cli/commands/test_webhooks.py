"""``bus-amqp webhooks``: what an operator sees and asks for, without a broker."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from bus_amqp.cli.main import main
from tests.receiver import Receiver, Reply
from tests.unit.extension.webhook.names import ask_no_name_server


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    with Receiver() as receiver:
        yield receiver


@pytest.fixture
def file(tmp_path: Path, receiver: Receiver) -> str:
    path = tmp_path / "webhooks.toml"
    path.write_text(
        f"""[network]
allow = ["127.0.0.0/8"]
[webhook.crm]
url = "{receiver.url}?key=s3cret"
allow_http = true
secret = "0123456789abcdef"
topic = {{ event_category = "UsageEvent", event_type = "VM.#" }}
domain = "ROOT/acme"
headers = {{ X-Token = "t0ken" }}
[webhook.erp]
url = "https://8.8.8.8/"
unsigned = true
enabled = false
"""
    )
    return str(path)


def told(capsys: pytest.CaptureFixture[str]) -> str:
    return capsys.readouterr().out


def test_a_test_is_sent_and_its_outcome_is_the_status(
    file: str, receiver: Receiver, capsys: pytest.CaptureFixture[str]
) -> None:
    """The first thing that anybody does with a new webhook."""
    receiver.reply(Reply(202), Reply(500, body=b"out of \x1b[31morder"))

    assert main(["webhooks", "test", file, "crm"]) == 0
    first = told(capsys)
    assert main(["webhooks", "test", file, "crm"]) == 1

    assert first.startswith("1  ")
    assert "  crm  test  WEBHOOK.TEST  " in first
    assert first.endswith(" s  202\n")
    assert told(capsys).endswith(" s  500\n")
    assert main(["webhooks", "show", file, "2"]) == 0
    shown = told(capsys)
    assert "excerpt: out of \\x1b[31morder\n" in shown
    assert '"eventType":"WEBHOOK.TEST"' in shown
    assert "t0ken" not in shown
    assert "s3cret" not in shown


def test_deliveries_are_listed_and_sent_again(
    file: str, receiver: Receiver, capsys: pytest.CaptureFixture[str]
) -> None:
    """From the list to the number to the receiver."""
    receiver.reply(Reply(500), Reply(200))
    main(["webhooks", "test", file, "crm"])
    capsys.readouterr()

    assert main(["webhooks", "deliveries", file, "--failed", "--json"]) == 0
    (line,) = told(capsys).splitlines()
    failed = json.loads(line)
    assert (failed["webhook"], failed["status"], failed["is_success"]) == ("crm", 500, False)
    assert main(["webhooks", "redeliver", file, str(failed["number"])]) == 0

    assert "  crm  redelivery  WEBHOOK.TEST  " in told(capsys)
    assert receiver.received[0].body == receiver.received[1].body
    assert main(["webhooks", "deliveries", file, "crm", "--event", failed["event_id"]]) == 0
    assert len(told(capsys).splitlines()) == 2


def test_a_redelivery_that_fails_is_told_by_the_status(
    file: str, receiver: Receiver, capsys: pytest.CaptureFixture[str]
) -> None:
    """A script goes by the status."""
    receiver.reply(Reply(500))
    main(["webhooks", "test", file, "crm"])

    assert main(["webhooks", "redeliver", file, "1"]) == 1


def test_what_was_sent_again_is_told_before_a_number_that_is_not_there(
    file: str, capsys: pytest.CaptureFixture[str]
) -> None:
    """A mistake in the second number must not hide that the first was sent."""
    main(["webhooks", "test", file, "crm"])
    capsys.readouterr()

    assert main(["webhooks", "redeliver", file, "1", "99"]) == 2

    outcome = capsys.readouterr()
    assert "  redelivery  " in outcome.out
    assert "no delivery 99" in outcome.err


def test_the_definitions_are_shown_without_their_secrets(file: str, capsys: pytest.CaptureFixture[str]) -> None:
    """What is on a screen ends up in a ticket."""
    assert main(["webhooks", "list", file]) == 0
    listed = told(capsys)
    assert main(["webhooks", "list", file, "--json"]) == 0
    records = [json.loads(line) for line in told(capsys).splitlines()]
    assert main(["webhooks", "show", file, "crm"]) == 0
    shown = told(capsys)

    assert "erp (not enabled)  https://8.8.8.8  everything  global" in listed
    assert "event_category=UsageEvent event_type=VM.#  domain ROOT/acme and below" in listed
    assert [record["group"] for record in records] == ["webhook-crm", "webhook-erp"]
    assert 'headers: ["X-Token"]' in shown
    assert not any(secret in listed + shown + json.dumps(records) for secret in ("s3cret", "t0ken", "0123456789"))


def test_check_says_where_nothing_would_be_sent(
    file: str, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Before the first event does."""
    ask_no_name_server(monkeypatch)
    assert main(["webhooks", "check", file]) == 0
    assert told(capsys) == "2 webhooks, 0 of them lead nowhere\n"

    path = Path(file)
    path.write_text(path.read_text().replace("https://8.8.8.8/", "https://gone.invalid/"))

    assert main(["webhooks", "check", file]) == 1
    outcome = capsys.readouterr()
    assert outcome.out == "2 webhooks, 1 of them lead nowhere\n"
    assert outcome.err.startswith("error: webhook erp: ")


@pytest.mark.parametrize(
    ("arguments", "fault"),
    [
        (["check"], "webhooks.toml:4: url: the url has a user or password"),
        (["run"], "webhooks.toml:4: url"),
        (["deliveries"], "webhooks.toml:4: url"),
    ],
)
def test_a_wrong_file_is_one_line_and_status_2(
    file: str, capsys: pytest.CaptureFixture[str], arguments: list[str], fault: str
) -> None:
    """Also for ``run``, before it looks for a broker."""
    path = Path(file)
    path.write_text(path.read_text().replace("http://127", "http://me:s3cret@127"))

    assert main(["webhooks", *arguments, file]) == 2

    told = capsys.readouterr().err
    assert fault in told
    assert told.count("\n") == 1
    assert "s3cret" not in told


@pytest.mark.parametrize(
    ("arguments", "status", "fault"),
    [
        (["deliveries"], 2, "nothing was delivered"),
        (["show", "7"], 2, "nothing was delivered"),
        (["show", "cmr"], 2, "no webhook 'cmr'"),
        (["test", "cmr"], 2, "no webhook 'cmr'"),
        (["redeliver", "7"], 2, "no delivery 7"),
        (["run"], 2, "no broker url"),
    ],
)
def test_what_is_not_there_is_named(
    file: str,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
    arguments: list[str],
    status: int,
    fault: str,
) -> None:
    """And looking does not make it."""
    monkeypatch.delenv("BUS_AMQP_URL", raising=False)
    command, *rest = arguments

    assert main(["webhooks", command, file, *rest]) == status

    assert fault in capsys.readouterr().err
    assert command == "run" or [one.name for one in Path(file).parent.iterdir()] == ["webhooks.toml"]


def test_a_number_that_is_not_in_the_history_is_named(
    file: str, receiver: Receiver, capsys: pytest.CaptureFixture[str]
) -> None:
    """It may have been forgotten."""
    main(["webhooks", "test", file, "crm"])

    assert main(["webhooks", "show", file, "99999999999999999999999"]) == 1

    assert "no delivery" in capsys.readouterr().err
