"""`bus-amqp notify` for what needs no broker: a file that is checked, shown and tried."""

import subprocess
import sys
from collections.abc import Iterator
from http import HTTPStatus
from pathlib import Path

import pytest

from bus_amqp.cli.main import main
from tests.extension.notify.http_server import HttpServer

EXAMPLE = Path(__file__).parents[4] / "docs/examples/notify.toml"
RULES = """
[channel.chat]
url = "{url}"

[rule.machines]
topic = {{ event_type = "VM.#" }}
channels = ["chat"]
subject = "{{{{ event_type }}}}"
"""


@pytest.fixture
def http_server() -> Iterator[HttpServer]:
    """A server that the channel posts to."""
    server = HttpServer()
    yield server
    server.close()


@pytest.fixture
def rules(tmp_path: Path, http_server: HttpServer) -> str:
    """A rule file with one channel."""
    file = tmp_path / "rules.toml"
    file.write_text(RULES.format(url=http_server.url))
    return str(file)


def test_check_tells_what_each_rule_does(capsys: pytest.CaptureFixture[str]) -> None:
    """In words, with the groups that an operator will find on the broker, and without a secret."""
    assert main(["notify", str(EXAMPLE), "--check"]) == 0

    told = capsys.readouterr().out
    assert told.count("\nrule ") == 2
    assert "hears    event_category = 'ActionEvent', event_type = 'VM.START'; or event_category" in told
    assert 'when     (details.status equals "Failed") and ((details.account in ["production"' in told
    assert "limit    at most 5 in 600 s for each event_type, resource_uuid" in told
    assert "tries    6, after 5, 30, 120, 600, 3600 s" in told
    assert "to operations (E-Mail, mail.example.org:587), as group notify-machine-failed--operations" in told
    assert "password" not in told


def test_a_wrong_file_is_one_line_and_status_2(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Refused at start, and no traceback."""
    file = tmp_path / "rules.toml"
    file.write_text(RULES.format(url="json://h").replace("channels", "chanels"))

    assert main(["notify", str(file)]) == 2

    told = capsys.readouterr()
    assert (told.out, told.err.count("\n")) == ("", 1)
    assert told.err.startswith(f"error: {file}:")


def test_test_sends_a_message_marked_as_one(
    rules: str, http_server: HttpServer, capsys: pytest.CaptureFixture[str]
) -> None:
    """The one proof that a channel works, before the night in which it has to."""
    assert main(["notify", rules, "--test", "machines"]) == 0

    [posted] = http_server.posted
    assert posted["title"] == "[test] VM.TEST"
    assert "This is a test of a notification rule" in posted["message"]
    assert capsys.readouterr().out.startswith("sent to chat (JSON, 127.0.0.1:")


def test_test_fails_when_a_channel_does(
    rules: str, http_server: HttpServer, capsys: pytest.CaptureFixture[str]
) -> None:
    """Scripts tell by the status."""
    http_server.status = HTTPStatus.INTERNAL_SERVER_ERROR

    assert main(["notify", rules, "--test", "machines"]) == 1
    err = capsys.readouterr().err
    assert err.startswith("error: channel chat (JSON, ")
    assert "s3cret" not in err
    assert main(["notify", rules, "--test", "machine"]) == 2
    assert "has no rule machine: did you mean machines?" in capsys.readouterr().err


def test_connections_are_checked_when_asked_for(rules: str, capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    """A host that has moved is told at start, with the line of its channel."""
    assert main(["notify", rules, "--check", "--check-connections"]) == 0
    capsys.readouterr()

    gone = tmp_path / "gone.toml"
    gone.write_text(RULES.format(url="json://127.0.0.1:1/s3cret"))
    assert main(["notify", str(gone), "--check", "--check-connections"]) == 2
    assert capsys.readouterr().err == (
        f"error: {gone}:2: channel chat: 127.0.0.1:1 cannot be reached: Connection refused\n"
    )


def test_a_channel_that_nobody_answers_for_is_refused_at_start(
    capsys: pytest.CaptureFixture[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Who mistypes a host hears of it at once, not when the first alert is not sent; unless he says otherwise."""
    monkeypatch.delenv("BUS_AMQP_URL", raising=False)
    gone = tmp_path / "gone.toml"
    gone.write_text(RULES.format(url="json://127.0.0.1:1/s3cret"))

    assert main(["notify", str(gone)]) == 2
    assert f"{gone}:2: channel chat: 127.0.0.1:1 cannot be reached" in capsys.readouterr().err
    assert main(["notify", str(gone), "--no-check-connections"]) == 2
    assert "no broker url" in capsys.readouterr().err


def test_without_a_broker_nothing_runs(
    rules: str, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Only --check and --test go without."""
    monkeypatch.delenv("BUS_AMQP_URL", raising=False)

    assert main(["notify", rules]) == 2
    assert "no broker url" in capsys.readouterr().err


@pytest.mark.parametrize("missing", ["apprise", "jinja2"])
def test_a_missing_extra_is_named(missing: str) -> None:
    """Who has installed the bus alone reads in one line what to install, and no traceback."""
    statement = (
        f"import sys; sys.modules[{missing!r}] = None\n"
        f"from bus_amqp.cli.main import main; sys.exit(main(['notify', {str(EXAMPLE)!r}, '--check']))"
    )

    ended = subprocess.run([sys.executable, "-c", statement], capture_output=True, text=True, timeout=60, check=False)

    assert ended.returncode == 2
    assert ended.stderr == f"error: notifications need {missing}: pip install 'bus-amqp[notify]'\n"
