"""The shortcut of `publish --spool` beside the command: what it takes, it takes as the command would."""

import json
import os
import tempfile
from contextlib import redirect_stderr, redirect_stdout
from io import StringIO
from pathlib import Path
from uuid import UUID

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from bus_amqp.cli import shortcut
from bus_amqp.cli.main import main
from bus_amqp.event import Event
from bus_amqp.publish.file_lock import FileLock
from bus_amqp.publish.journal import LOCK_SUFFIX, Journal
from bus_amqp.publish.loose_event import MAX_LOOSE
from bus_amqp.publish.loose_events import LooseEvents, parsed
from bus_amqp.publish.outbox_directory import OutboxDirectory
from bus_amqp.settings import Settings
from bus_amqp.wire.message import Message
from bus_amqp.wire.plain_encoding import MAX_BODY_BYTES

EVENT = ["-c", "UsageEvent", "-t", "VM.START", "-s", "cron"]

_WORDS = st.one_of(
    st.sampled_from(["", "_", "VM.START", "a-b", "%", "*.#", " x\t", "ü", "日本", '"\\', "\x01\x7f\u2028"]),
    st.sampled_from(["-x", "=", "\udc80"]),
    st.text(st.characters(exclude_characters="\0", exclude_categories=()), max_size=80),
    st.text("abc.-_*#% ", max_size=300),
)  # fmt: skip
_NUMBERS = st.one_of(st.integers(), st.integers(-(2**70), 2**70), st.floats())
_JSON = st.recursive(st.one_of(st.none(), st.booleans(), _NUMBERS, _WORDS), lambda inner: st.one_of(
    st.lists(inner, max_size=4), st.dictionaries(_WORDS, inner, max_size=4)
))  # fmt: skip
_DETAILS = st.one_of(
    st.dictionaries(_WORDS, _JSON, max_size=4).map(json.dumps),
    st.dictionaries(_WORDS, _JSON, max_size=4).map(lambda value: json.dumps(value, ensure_ascii=False, indent=1)),
    _JSON.map(json.dumps),
    st.sampled_from(['{"a":' * 70 + "1" + "}" * 70, '{"a": 1, "a": 2}', "{} x", "\ufeff{}", '{"a":01}', " {}\n"]),
    _WORDS,
)  # fmt: skip
_OPTIONS = {
    "category": ("-c", "--category"), "type": ("-t", "--type"), "source": ("-s", "--source"),
    "resource-type": ("--resource-type",), "resource-uuid": ("--resource-uuid",),
    "description": ("-d", "--description"), "details": ("--details",), "exchange": ("--exchange",),
    "timeout": ("--timeout",),
}  # fmt: skip
_VALUES = {"details": _DETAILS, "timeout": st.sampled_from(["0", "1.5", "1e3", "-1", "x", ".", "5."])}


@st.composite
def _command_lines(draw: st.DrawFn) -> list[str]:
    """Options in any order and spelling; mostly those of a whole event, sometimes one too many or too few."""
    names = draw(st.lists(st.sampled_from(sorted(_OPTIONS)), max_size=4, unique=draw(st.integers(0, 9)) > 0))
    required = ["category", "type", "source"] if draw(st.integers(0, 9)) else []
    parts: list[list[str]] = []
    for name in dict.fromkeys([*required, *names]) if draw(st.integers(0, 9)) else [*required, *names]:
        option = draw(st.sampled_from(_OPTIONS[name]))
        value = draw(_VALUES.get(name, _WORDS))
        parts.append([f"{option}={value}"] if draw(st.booleans()) else [option, value])
    parts += draw(
        st.sampled_from([[], [], [["--mandatory"]], [["--mandatory"], ["--mandatory"]], [["file"]], [["--nonsense"]]])
    )
    return [word for part in draw(st.permutations(parts)) for word in part]


@pytest.fixture(autouse=True)
def no_variables_of_this_machine(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in [name for name in os.environ if name.startswith("BUS_AMQP_")]:
        monkeypatch.delenv(name)


def by_command(arguments: list[str]) -> tuple[int, str]:
    with redirect_stdout(StringIO()) as out, redirect_stderr(StringIO()):
        return main(arguments), out.getvalue()


def rows(directory: Path) -> list[tuple[object, ...]]:
    """Return what is stored, gathered, with the exchange; without the id and the times, which no two events share."""
    found: list[tuple[object, ...]] = []
    while loose := sorted(directory.glob("*.event")):
        exchange, _ = parsed(loose[0].read_bytes())
        _, journal = LooseEvents(OutboxDirectory(directory, exchange)).gather(loose)
        assert journal is not None
        journal.close()
    for path in sorted(directory.glob("*.outbox")):
        lock = FileLock.take(path.with_suffix(LOCK_SUFFIX))
        assert lock is not None, "left locked"
        journal = Journal.open(path, lock)
        assert journal is not None
        events = journal.read(0, max_events=100, max_bytes=10**9)
        found += [(journal.exchange, each.number, each.reason, *_without_id_and_times(each.message)) for each in events]
        journal.close()
    return found


def _without_id_and_times(message: Message) -> tuple[object, ...]:
    body = json.loads(message.body)
    event_id, event_time = body.pop("eventId"), body.pop("eventTime")
    decoded = Event.model_validate_json(message.body, by_alias=True, by_name=False)
    assert str(decoded.event_id) == message.message_id == event_id
    assert (decoded.event_id.version, decoded.event_id.variant) == (7, UUID(int=2 << 62).variant)
    assert int(decoded.event_time.timestamp()) == message.timestamp
    plain = message.body.replace(event_id.encode(), b"").replace(event_time.encode(), b"")
    return (
        plain, message.routing_key, message.type, message.app_id, message.content_type, message.headers,
        message.mandatory, decoded.model_dump(exclude={"event_id", "event_time"}),
    )  # fmt: skip


@given(_command_lines())
@example([*EVENT, "--details", '{"a": [1, -2.5, true, null, {"b": "\\u00fc"}], "": 0.0001}', "--mandatory"])
@example([*EVENT, "--details", '{"a": "\\ud800"}'])
@settings(max_examples=150, deadline=None)
def test_what_the_shortcut_takes_it_stores_as_the_command_does(options: list[str]) -> None:
    """One behaviour, two ways: the same row, line and status, or nothing done at all."""
    with tempfile.TemporaryDirectory() as short, tempfile.TemporaryDirectory() as long:
        if not shortcut.stored(["publish", "--spool", short, *options]):
            assert list(Path(short).iterdir()) == []
            return

        assert by_command(["publish", "--spool", long, *options]) == (0, "1 stored, 0 refused\n")

        assert rows(Path(short)) == rows(Path(long)) != []


@pytest.mark.parametrize(
    "more",
    [
        [],
        ["-d", "Startet Maschine „web-1“ \\ \n", "--resource-type=VirtualMachine", "--resource-uuid", "6f2d-41aa"],
        [
            "--details",
            '{"cpu": 4, "memory": 8.5, "tags": ["a", null], "of": {"x": true}}',
            "--mandatory",
            "--timeout",
            "5",
        ],
        ["--exchange", "other.events"],
    ],
)
def test_usual_command_lines_take_the_shortcut(more: list[str], tmp_path: Path) -> None:
    """A shortcut that nobody may take is slow and proves nothing."""
    assert shortcut.stored(["publish", *more, f"--spool={tmp_path}", *EVENT])
    assert shortcut.stored(["publish", *EVENT, *more, "--spool", str(tmp_path)])
    assert [row[1] for row in rows(tmp_path)] == [1, 2]


@pytest.mark.parametrize(
    "more",
    [
        ["events.jsonl"], ["-"], ["--"], ["--help"], ["--url", "memory://"], ["--settings", "x.toml"], ["--nonsense"],
        ["-c", "twice"], ["--timeout", "soon"], ["--exchange", "x" * 128], ["--exchange", ""], ["--details", "[1]"],
        ["--details", '{"a": NaN}'], ["--details", '{"a": 1e999}'], ["--details", "{"], ["-d", "\udcff"], ["-d"],
        ["--resource-uuid", "x" * 250], ["--resource-type", "\udcff"], ["-d=x"], ["--mandatory=yes"],
        ["--details", '{"a":' * 70 + "1" + "}" * 70], ["-d", "x" * (MAX_BODY_BYTES + 1)],
    ],
)  # fmt: skip
def test_what_is_not_quite_as_usual_is_left_to_the_command(more: list[str], tmp_path: Path) -> None:
    """Every fault has one wording and one status: the command's."""
    assert not shortcut.stored(["publish", *EVENT, "--spool", str(tmp_path), *more])
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("name", ["BUS_AMQP_EXCHANGE", "bus_amqp_publisher__outbox_synchronous", "BUS_AMQP_MISSPELT"])
def test_any_variable_of_ours_is_for_the_command(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """`full` must mean full, and a misspelt variable must be told."""
    monkeypatch.setenv(name, "full")

    assert not shortcut.stored(["publish", *EVENT, "--spool", str(tmp_path)])


def test_the_shortcut_keeps_away_from_every_limit() -> None:
    """Whoever changes a default must look here: the shortcut knows none of the settings."""
    limits = Settings().publisher

    assert Settings().exchange == shortcut._DEFAULT_EXCHANGE
    assert (
        limits.outbox_events >= MAX_LOOSE * 100
    )  # so far may the limits be exceeded, for it cannot look into journals
    assert limits.outbox_bytes >= MAX_LOOSE * MAX_BODY_BYTES
    assert limits.max_event_bytes >= MAX_BODY_BYTES * 2
    assert limits.outbox_synchronous == "normal"
