"""Dead letters as text for people.  Pure.  Whatever comes from a letter is bounded, and steers no terminal."""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import datetime

from bus_amqp.admin.letter import Letter
from bus_amqp.cli.duration import rough
from bus_amqp.cli.output import printable

SHORT = 160  # characters of an explanation in a list
MAX_BODY_LINES, MAX_BODY_CHARACTERS = 400, 40_000  # on a screen; an export has it whole


def two_lines(letter: Letter, now: datetime) -> str:
    """Return a letter as a list shows it: what it is, and why it is here."""
    what = letter.event_id or "(no id)"
    if letter.event is not None:
        resource = f" {letter.event.resource_type or '-'} {letter.event.resource_uuid or '-'}"
        what += f" {letter.event.event_type}{resource} from {letter.event.event_source}"
    else:
        what += f" no event of ours, {letter.delivery.body_bytes} bytes"
    age = "at an unknown time" if letter.last_failure is None else f"{rough(now - letter.last_failure)} ago"
    why = f"{_reason(letter)}{_attempts(letter)}, {age}"
    if letter.subscriber:
        why += f", {letter.subscriber} on {letter.host or '?'}"
    if letter.exception:
        why += f": {_shortened(letter.exception)}"
    return f"{letter.position:>5}  {printable(what)}\n       {printable(why)}"


def in_full(letter: Letter) -> Iterator[str]:
    """Yield a letter line by line: what is known, the other headers, the body."""
    properties = letter.properties
    facts = {
        "position": str(letter.position),
        "event id": letter.event_id,
        "reason": _reason(letter),
        "exception": letter.exception,
        "attempts": "" if letter.attempts is None else str(letter.attempts),
        "before that": _history(letter),
        "first failure": _moment(letter.first_failure),
        "last failure": _moment(letter.last_failure),
        "subscriber": letter.subscriber,
        "host": letter.host,
        "queue": letter.queue,
        "routing key": letter.routing_key,
        "content type": letter.delivery.content_type,
        "message id": properties.message_id,
        "app id": properties.app_id,
    }
    if not letter.is_readable:
        facts["properties"] = "cannot be read: malformed"
    for name, value in facts.items():
        if value:
            yield f"{name:<14}{printable(value)}"
    for header, given in properties.headers.items():
        yield f"header        {printable(f'{header} = {given!r}')}"
    for death in properties.deaths:
        yield f"death         {printable(', '.join(f'{name} {value}' for name, value in death.items()))}"
    yield f"body          {letter.delivery.body_bytes} bytes"
    yield from _body(letter)


def _body(letter: Letter) -> Iterator[str]:
    body = letter.delivery.body
    if body is None:
        yield "(larger than what can be carried: not shown)"
        return
    try:
        # Bounded before it is parsed: what is laid out can be far larger than what it was.
        text = json.dumps(json.loads(body), indent=2, ensure_ascii=False) if len(body) <= MAX_BODY_CHARACTERS else None
    except (ValueError, RecursionError):
        text = None
    if text is None:
        text = body[:MAX_BODY_CHARACTERS].decode(errors="backslashreplace")
    lines = text.split("\n")
    shown = 0
    for line in lines[:MAX_BODY_LINES]:
        shown += len(line)
        if shown > MAX_BODY_CHARACTERS:
            break
        yield printable(line)
    else:
        if len(lines) <= MAX_BODY_LINES and len(body) <= MAX_BODY_CHARACTERS:
            return
    yield "(and more: `bus-amqp dead-letters export` writes all of it)"


def _reason(letter: Letter) -> str:
    return f"{letter.reason} (by the broker)" if letter.is_by_broker else letter.reason


def _attempts(letter: Letter) -> str:
    if letter.attempts is None:
        return ""
    told = f" after {letter.attempts} attempt{'' if letter.attempts == 1 else 's'}"
    return f"{told} ({_history(letter)})" if letter.times_put_back else told


def _history(letter: Letter) -> str:
    if not letter.times_put_back:
        return ""
    return f"put back {letter.times_put_back} times, {letter.earlier_attempts} attempts before"


def _moment(moment: datetime | None) -> str:
    return "" if moment is None else f"{moment:%Y-%m-%d %H:%M:%S}Z"


def _shortened(text: str) -> str:
    line = " ".join(text.split())
    return line if len(line) <= SHORT else f"{line[:SHORT]}..."
