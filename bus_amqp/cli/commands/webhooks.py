"""``bus-amqp webhooks run | check | list | show | deliveries | test | redeliver``: events as signed HTTP requests."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from bus_amqp.cli import options, output

if TYPE_CHECKING:
    from bus_amqp.extension.webhook.file import Definitions
    from bus_amqp.extension.webhook.history import History
    from bus_amqp.extension.webhook.record import Delivery

app = typer.Typer(help="Webhooks: send events to HTTP receivers, and look at what became of them.")

_LISTED = 50

File = Annotated[Path, typer.Argument(metavar="FILE", help="The definitions, such as webhooks.toml.")]
Name = Annotated[str, typer.Argument(metavar="NAME", help="The webhook's name.")]
AsJson = Annotated[bool, typer.Option("--json", help="One JSON object a line.")]


@app.command()
def run(
    file: File,
    name: Annotated[str | None, typer.Option("--name", help="What operators see in the broker's connections.")] = None,
    ready_file: Annotated[
        Path | None, typer.Option("--ready-file", help="Made once every subscription is consuming.")
    ] = None,
    url: options.Url = None,
    exchange: options.Exchange = None,
    settings: options.SettingsFile = None,
) -> None:
    """Deliver until SIGTERM or Ctrl-C, then end in good order with status 0.

    Each webhook has a queue of its own. Start it more than once to have more processes share the work.
    """
    import logging

    from bus_amqp.extension.webhook.service import webhook_subscribers
    from bus_amqp.process.runner import Consumer, run_consumer

    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s %(name)s: %(message)s")
    definitions = _definitions(file)  # before connecting: a misspelt file needs no broker
    loaded = options.settings_from(url, exchange, settings)
    consumer = Consumer(lambda _: webhook_subscribers(definitions), name or f"webhooks {file.name}", ready_file)
    run_consumer(consumer, loaded)


@app.command()
def check(file: File) -> None:
    """Check the definitions, and look up where each webhook leads now. Sends nothing.

    Status 2: the file is wrong; 1: a webhook leads where none may go, or its name is not known.
    """
    from bus_amqp.extension.webhook.service import refusals

    definitions = _definitions(file)
    refused = list(refusals(definitions))
    for webhook, why in refused:
        output.error(f"webhook {webhook.name}: {output.printable(why)}")
    output.result(f"{len(definitions.webhooks)} webhooks, {len(refused)} of them lead nowhere")
    if refused:
        raise typer.Exit(1)


@app.command("list")
def list_(file: File, as_json: AsJson = False) -> None:
    """Show the webhooks that the file defines, without their secrets."""
    definitions = _definitions(file)
    for webhook in definitions.webhooks:
        record = _described(definitions, webhook.name)
        if as_json:
            output.result(json.dumps(record))
        else:
            state = "" if webhook.enabled else " (not enabled)"
            output.result(f"{webhook.name}{state}  {record['origin']}  {record['topics']}  {record['scope']}")


@app.command()
def show(
    file: File,
    which: Annotated[str, typer.Argument(metavar="NAME|N", help="A webhook, or the number of a delivery.")],
    as_json: AsJson = False,
) -> None:
    """Show one webhook, or one delivery in full with its body."""
    definitions = _definitions(file)
    if not (which.isascii() and which.isdigit()) or any(one.name == which for one in definitions.webhooks):
        record = _described(definitions, which)
    else:
        with _history(definitions) as history:
            delivery = history.delivery(int(which[:20]))
            if delivery is None:
                output.error(f"{definitions.history_file}: no delivery {which} (any more)")
                raise typer.Exit(1)
            body = history.body_of(delivery)
        record = {**_record(delivery), "body": None if body is None else body.decode(errors="replace")}
    if as_json:
        output.result(json.dumps(record))
        return
    for key, value in record.items():
        text = value if isinstance(value, str) else json.dumps(value)
        output.result(f"{key}: {output.printable(text)}")


@app.command()
def deliveries(
    file: File,
    name: Annotated[str | None, typer.Argument(metavar="[NAME]", help="Of this webhook only.")] = None,
    failed: Annotated[bool, typer.Option("--failed", help="Only those without success.")] = False,
    event: Annotated[str | None, typer.Option("--event", metavar="EVENT_ID", help="Only those of this event.")] = None,
    limit: Annotated[int, typer.Option("--limit", "-n", min=1, help="At most so many, the newest first.")] = _LISTED,
    as_json: AsJson = False,
) -> None:
    """Show what was sent and what came of it, every attempt by itself, the newest first."""
    with _history(_definitions(file)) as history:
        found = history.latest(webhook=name, event_id=event, failed_only=failed, limit=limit)
    for delivery in found:
        output.result(json.dumps(_record(delivery)) if as_json else _line(delivery))
    output.say(f"{len(found)} shown{'; there may be more: --limit' if len(found) == limit else ''}")


@app.command()
def test(file: File, name: Name) -> None:
    """Send an event of the type WEBHOOK.TEST to one webhook now, past the bus. Status 1 unless it answers 2xx."""
    from bus_amqp.extension.webhook.service import send_test

    _tell(send_test(_definitions(file), name))


@app.command()
def redeliver(
    file: File,
    numbers: Annotated[list[int], typer.Argument(metavar="N...", help="Numbers that `deliveries` shows.")],
) -> None:
    """Send again what was sent, to where its webhook leads now, past the bus. Status 1 unless all answer 2xx.

    The event id is the same: a receiver that has it already drops it. Each is one attempt; nothing tries again by
    itself.
    """
    from bus_amqp.extension.webhook.service import redeliver as send_again

    definitions = _definitions(file)
    failed = 0
    for number in numbers:
        delivery = send_again(definitions, number)
        output.result(_line(delivery))  # at once: a later number may not be there
        failed += not delivery.is_success
    if failed:
        raise typer.Exit(1)


def _definitions(file: Path) -> Definitions:
    from bus_amqp.extension.webhook.file import load_definitions

    return load_definitions(file)


@contextmanager
def _history(definitions: Definitions) -> Iterator[History]:
    from bus_amqp.errors import InvalidArgumentError
    from bus_amqp.extension.webhook.service import open_history

    if not definitions.history_file.exists():  # looking must not make one
        raise InvalidArgumentError(f"{definitions.history_file} is not there yet: nothing was delivered")
    with closing(open_history(definitions)) as history:
        yield history


def _tell(delivery: Delivery) -> None:
    output.result(_line(delivery))
    if not delivery.is_success:
        raise typer.Exit(1)


def _line(delivery: Delivery) -> str:
    outcome = str(delivery.status or "-") + (f" {delivery.error}" if delivery.error else "")
    return output.printable(
        f"{delivery.number}  {delivery.attempted_at:%Y-%m-%d %H:%M:%S}  {delivery.webhook}  {delivery.kind.value}  "
        f"{delivery.event_type}  {delivery.event_id}  {delivery.duration_seconds:.2f} s  {outcome}"
    )


def _record(delivery: Delivery) -> dict[str, object]:
    return {
        "number": delivery.number,
        "webhook": delivery.webhook,
        "kind": delivery.kind.value,
        "event_id": delivery.event_id,
        "event_type": delivery.event_type,
        "attempted_at": delivery.attempted_at.isoformat(),
        "duration_seconds": round(delivery.duration_seconds, 3),
        "url": delivery.url,
        "address": delivery.address,
        "request_headers": dict(delivery.request_headers),
        "status": delivery.status,
        "excerpt": delivery.excerpt,
        "error": delivery.error,
        "is_success": delivery.is_success,
    }


def _described(definitions: Definitions, name: str) -> dict[str, object]:
    webhook = definitions.webhook(name)
    scope, retry = webhook.scope, webhook.policy
    below = " and below" if scope.subdomains else ""
    owner = [
        *([f"account {scope.account}"] if scope.account is not None else []),
        *([f"domain {scope.domain}{below}"] if scope.domain is not None else []),
    ]
    topics = [
        " ".join(f"{key}={value}" for key, value in topic.model_dump(exclude_none=True).items()) or "everything"
        for topic in webhook.topic
    ]
    return {
        "name": webhook.name,
        "enabled": webhook.enabled,
        "origin": webhook.target.origin,
        "topics": "; ".join(topics),
        "scope": ", ".join(owner) or "global",
        "group": webhook.group,
        "signed": not webhook.unsigned,
        "headers": sorted(webhook.headers),
        "timeout_seconds": webhook.timeout_seconds,
        "workers": webhook.workers,
        "ordered": webhook.ordered,
        "attempts": retry.attempts,
        "delays_seconds": list(retry.delays_seconds),
    }
