"""``bus-amqp dead-letters list | show | retry | drop | export``: what could not be handled, and what becomes of it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from bus_amqp.cli import options, output

if TYPE_CHECKING:
    from bus_amqp.admin.letter_filter import LetterFilter
    from bus_amqp.admin.put_back import Outcome
    from bus_amqp.admin.workbench import Workbench

app = typer.Typer(help="Events that could not be handled: look at them, put them back, keep or drop them.")

_LISTED = 50
_TOLD = 20  # letters that stay, by name

Group = Annotated[str | None, typer.Option("--group", "-g", metavar="GROUP", help="The dead letters of a group.")]
Temporary = Annotated[bool, typer.Option("--temporary", help="Those of all subscriptions without a group.")]
Reason = Annotated[str | None, typer.Option("--reason", metavar="WORD", help="Such as exception or not-json.")]
Exception_ = Annotated[str | None, typer.Option("--exception", metavar="TEXT", help="A part of what it says.")]
Older = Annotated[
    str | None, typer.Option("--older-than", metavar="TIME", help="Last failure at least so long ago: 30m, 2h, 7d.")
]
Newer = Annotated[str | None, typer.Option("--newer-than", metavar="TIME", help="Last failure no longer ago.")]
Limit = Annotated[int | None, typer.Option("--limit", "-n", min=1, help="At most so many, the oldest first.")]
Names = Annotated[list[str] | None, typer.Argument(metavar="[EVENT_ID]...", help="Only the letters of these events.")]
Yes = Annotated[bool, typer.Option("--yes", "-y", help="Do not ask.")]


@app.command("list")
def list_(
    names: Names = None, group: Group = None, temporary: Temporary = False,
    category: options.Category = None, event_type: options.TypePattern = None,
    resource_type: options.ResourceType = None, resource_uuid: options.ResourceUuid = None,
    source: options.Source = None, reason: Reason = None, exception: Exception_ = None,
    older: Older = None, newer: Newer = None,
    limit: Annotated[int, typer.Option("--limit", "-n", min=1, help="At most so many, the oldest first.")] = _LISTED,
    as_json: Annotated[bool, typer.Option("--json", help="One JSON object a line, without the bodies.")] = False,
    url: options.Url = None, exchange: options.Exchange = None, settings: options.SettingsFile = None,
) -> None:  # fmt: skip
    """Show dead letters, the oldest first.  Looking costs them nothing."""
    from bus_amqp.admin.archive import line_of
    from bus_amqp.cli.letter_text import two_lines

    wanted = _filter(names, category, event_type, resource_type, resource_uuid, source, reason, exception, older, newer)
    with _workbench(group, temporary, url, exchange, settings) as workbench:
        there, now = workbench.count(), datetime.now(UTC)
        # Printed when the connection is closed: a pager that waits for a key would stop its heartbeats.
        told = [
            line_of(letter, with_body=False) if as_json else two_lines(letter, now)
            for letter in workbench.look(wanted, limit=limit)
        ]
        queue = workbench.queue
    for text in told:
        output.result(text)
    more = "" if len(told) < limit else "; there may be more: --limit"
    output.say(f"{queue}: {there} letters, {len(told)} shown{more}")


@app.command()
def show(
    which: Annotated[str, typer.Argument(metavar="EVENT_ID|N", help="An event id, or a number that `list` shows.")],
    group: Group = None, temporary: Temporary = False,
    as_json: Annotated[bool, typer.Option("--json", help="As `export` writes it.")] = False,
    url: options.Url = None, exchange: options.Exchange = None, settings: options.SettingsFile = None,
) -> None:  # fmt: skip
    """Show one dead letter in full, headers and body."""
    from bus_amqp.admin.archive import line_of
    from bus_amqp.cli.letter_text import in_full

    position = int(which) if which.isascii() and which.isdigit() and len(which) < 10 else None
    with _workbench(group, temporary, url, exchange, settings) as workbench:
        found = None
        for letter in workbench.look(limit=position):
            if letter.position == position or letter.is_called(which):
                found = letter
                break
        queue = workbench.queue
    if found is None:
        output.error(f"{queue}: no letter {output.printable(which)!r} (a number counts from 1, the oldest)")
        raise typer.Exit(1)
    for line in [line_of(found, with_body=True)] if as_json else in_full(found):
        output.result(line)


@app.command()
def retry(
    names: Names = None, group: Group = None, temporary: Temporary = False,
    category: options.Category = None, event_type: options.TypePattern = None,
    resource_type: options.ResourceType = None, resource_uuid: options.ResourceUuid = None,
    source: options.Source = None, reason: Reason = None, exception: Exception_ = None,
    older: Older = None, newer: Newer = None, limit: Limit = None,
    to: Annotated[str | None, typer.Option("--to", metavar="GROUP", help="On this group's queue instead.")] = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Only count them.")] = False,
    url: options.Url = None, exchange: options.Exchange = None, settings: options.SettingsFile = None,
) -> None:  # fmt: skip
    """Put events back on the queue that they came from, and on no other, to be handled afresh.

    May be interrupted at any time: each letter stays until its event is stored on the queue.
    """
    from bus_amqp.cli.interruption import interruption

    wanted = _filter(names, category, event_type, resource_type, resource_uuid, source, reason, exception, older, newer)
    with _workbench(group, temporary, url, exchange, settings) as workbench, interruption() as asked:
        if dry_run:
            output.result(f"{_counted(workbench, wanted, limit)} would be put back")
            return
        run = workbench.putting_back(wanted, limit=limit, should_stop=asked, to=to)
        try:
            run.run()
        finally:
            _tell(run.outcome, "put back")
        _end(run.outcome, asked.status)


@app.command()
def drop(
    names: Names = None, group: Group = None, temporary: Temporary = False,
    category: options.Category = None, event_type: options.TypePattern = None,
    resource_type: options.ResourceType = None, resource_uuid: options.ResourceUuid = None,
    source: options.Source = None, reason: Reason = None, exception: Exception_ = None,
    older: Older = None, newer: Newer = None, limit: Limit = None, yes: Yes = False,
    url: options.Url = None, exchange: options.Exchange = None, settings: options.SettingsFile = None,
) -> None:  # fmt: skip
    """Delete dead letters for good.  Asks first; `export` keeps a copy."""
    from bus_amqp.cli.interruption import interruption

    wanted = _filter(names, category, event_type, resource_type, resource_uuid, source, reason, exception, older, newer)
    with _workbench(group, temporary, url, exchange, settings) as workbench:
        # With conditions, those that were counted and no others; without, as many as there were, the oldest.
        seen = None if wanted.is_everything and limit is None else _fingerprints(workbench, wanted, limit)
        count, queue = workbench.count() if seen is None else sum(seen.values()), workbench.queue
    if not count:
        output.result("0 dropped")
        return
    output.confirm(f"drop {count} dead letters of {queue} for good?", is_certain=yes)
    # A connection of its own, because a person takes longer to answer than heartbeats allow.  What came meanwhile was
    # not asked about.
    with _workbench(group, temporary, url, exchange, settings) as workbench, interruption() as asked:
        outcome = workbench.drop(wanted, limit=count, should_stop=asked, only=seen)
        _tell(outcome, "dropped")
        _end(outcome, asked.status)


@app.command()
def export(
    file: Annotated[Path, typer.Argument(metavar="FILE", help="JSON lines; appears when it is complete.")],
    group: Group = None, temporary: Temporary = False,
    category: options.Category = None, event_type: options.TypePattern = None,
    resource_type: options.ResourceType = None, resource_uuid: options.ResourceUuid = None,
    source: options.Source = None, reason: Reason = None, exception: Exception_ = None,
    older: Older = None, newer: Newer = None, limit: Limit = None,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace a file that is there.")] = False,
    url: options.Url = None, exchange: options.Exchange = None, settings: options.SettingsFile = None,
) -> None:  # fmt: skip
    """Write dead letters to a file, headers and bodies; they stay where they are."""
    from bus_amqp.admin import archive

    wanted = _filter(None, category, event_type, resource_type, resource_uuid, source, reason, exception, older, newer)
    with _workbench(group, temporary, url, exchange, settings) as workbench:
        count = archive.export(workbench.look(wanted, limit=limit), file, may_replace=overwrite)
    output.result(f"{count} exported")


@contextmanager
def _workbench(
    group: str | None, temporary: bool, url: str | None, exchange: str | None, file: Path | None
) -> Iterator[Workbench]:
    if (group is None) is not temporary:
        raise typer.BadParameter("give either --group GROUP or --temporary; `bus-amqp groups list` shows the groups")
    from bus_amqp.admin.operator_connection import operator_connection
    from bus_amqp.admin.workbench import Workbench
    from bus_amqp.topology.names import check_group

    if group is not None:
        check_group(group)
    settings = options.settings_from(url, exchange, file)
    with operator_connection(settings, client_name="bus-amqp dead-letters") as connection:
        yield Workbench(connection, settings.exchange, group, may_declare=settings.declare)


def _filter(
    names: list[str] | None, category: str | None, event_type: str | None, resource_type: str | None,
    resource_uuid: str | None, source: str | None, reason: str | None, exception: str | None,
    older: str | None, newer: str | None,
) -> LetterFilter:  # fmt: skip
    from bus_amqp.admin.letter_filter import LetterFilter

    return LetterFilter(
        topic=options.topic_from(category, event_type, resource_type, resource_uuid, source),
        reason=reason,
        exception=exception,
        failed_before=_ago(older),
        failed_after=_ago(newer),
        names=frozenset(names or ()),
    )


def _ago(text: str | None) -> datetime | None:
    from bus_amqp.cli.duration import parse_duration
    from bus_amqp.errors import InvalidArgumentError

    if text is None:
        return None
    length: timedelta = parse_duration(text)
    try:
        return datetime.now(UTC) - length
    except OverflowError as exc:
        raise InvalidArgumentError(f"{text!r} ago is before the year 1") from exc


def _counted(workbench: Workbench, wanted: LetterFilter, limit: int | None) -> int:
    if wanted.is_everything:
        there = workbench.count()
        return there if limit is None else min(there, limit)
    return sum(1 for _ in workbench.look(wanted, limit=limit))


def _fingerprints(workbench: Workbench, wanted: LetterFilter, limit: int | None) -> Counter[bytes]:
    return Counter(letter.fingerprint() for letter in workbench.look(wanted, limit=limit))


def _tell(outcome: Outcome, done: str) -> None:
    for name, why in outcome.stays[:_TOLD]:
        output.error(f"{output.printable(name)} stays: {output.printable(why)}")
    if outcome.stay_count > _TOLD:
        output.error(f"and {outcome.stay_count - _TOLD} more stay")
    stay = f", {outcome.stay_count} stay" if outcome.stay_count else ""
    output.result(f"{outcome.done} {done}{stay}{', interrupted' if outcome.is_interrupted else ''}")


def _end(outcome: Outcome, status: int) -> None:
    if outcome.is_interrupted and status:
        raise typer.Exit(status)
    if outcome.stay_count:
        raise typer.Exit(1)
