"""``bus-amqp notify``: a rule file as a consumer process; or checked, shown and tried."""

from __future__ import annotations

from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from bus_amqp.cli import options, output

if TYPE_CHECKING:
    from bus_amqp.extension.notify.rule_file import RuleFile
    from bus_amqp.settings import Settings

CLIENT_NAME = "bus-amqp notify"


def notify(
    rules: Annotated[Path, typer.Argument(metavar="RULES", help="A TOML file of channels and rules.")],
    check: Annotated[bool, typer.Option("--check", help="Check the file, tell what each rule does, and end.")] = False,
    check_connections: Annotated[
        bool | None,
        typer.Option(
            help="Connect to each channel's host first, where that can be told.  Default: yes to run, no with --check."
        ),
    ] = None,
    test: Annotated[
        str | None, typer.Option("--test", metavar="RULE", help="Send a test message to the rule's channels, and end.")
    ] = None,
    url: options.Url = None,
    exchange: options.Exchange = None,
    settings: options.SettingsFile = None,
) -> None:
    """Send e-mail, SMS and chat messages about events, by the rules of a file, until SIGTERM or Ctrl-C.

    Each rule and channel is a group of its own, notify-RULE--CHANNEL, with its own dead letters.  Needs the extra
    `notify`.  --check and --test need no broker.
    """
    from bus_amqp.extension.notify.rule_file import read_rules

    file = read_rules(rules)
    runs = not check and test is None
    if runs if check_connections is None else check_connections:
        file.check_connections()
    if check:
        _show(file)
    if test is not None:
        _try(file, test)
    if runs:
        _run(file, options.settings_from(url, exchange, settings))


def _show(file: RuleFile) -> None:
    for rule in file.rules:
        output.result(output.printable(f"rule {rule.name} ({file.place_of(rule)})"))
        for line in rule.in_words():
            output.result(output.printable(f"  {line}"))
        for name in rule.channels:
            output.result(output.printable(f"  sends    to {file.open_channel(name)}, as group {rule.group_of(name)}"))


def _try(file: RuleFile, name: str) -> None:
    from bus_amqp.extension.notify.message import NotSentError
    from bus_amqp.extension.notify.trial import trial_message

    rule = file.rule(name)
    message = trial_message(rule)
    failed = 0
    for one in rule.channels:
        channel = file.open_channel(one)
        try:
            channel.send(message)
        except NotSentError as exc:
            failed += 1
            output.error(str(exc))
        else:
            output.result(output.printable(f"sent to {channel}"))
    if failed:
        raise typer.Exit(1)


def _run(file: RuleFile, settings: Settings) -> None:
    import logging

    from bus_amqp.engine.connect import connect
    from bus_amqp.extension.notify.subscribers import declared, notifiers_of

    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s %(name)s: %(message)s")
    notifiers = notifiers_of(file)
    with ExitStack() as stack:
        bus = connect(client_name=CLIENT_NAME, settings=settings)
        stack.callback(bus.close)
        bus.subscribe_all(declared(notifiers))
        output.say(f"notify: subscribed on {bus.health().broker} (rules: {len(file.rules)}, groups: {len(notifiers)})")
        bus.run_until_signal()
    for notifier in notifiers:
        if notifier.held_back:  # no message will tell of them any more
            output.say(f"notify: {notifier.held_back} messages held back at the end: {notifier!r}")
