"""``bus-amqp permissions``: the least rights of a broker user."""

from __future__ import annotations

from typing import Annotated

import typer

from bus_amqp.cli import options, output


def permissions(
    publisher: Annotated[
        str | None, typer.Option("--publisher", metavar="SOURCE", help="May publish events of this event_source only.")
    ] = None,
    group: Annotated[
        list[str] | None, typer.Option("--group", metavar="GROUP", help="May consume as this group; may be repeated.")
    ] = None,
    temporary: Annotated[bool, typer.Option("--temporary", help="May subscribe without a group.")] = False,
    declare: Annotated[
        bool,
        typer.Option(
            "--declare/--no-declare",
            help="As the setting `declare`; --no-declare is less: what it works with is there and bound already.",
        ),
    ] = True,
    reads: Annotated[
        list[str] | None,
        typer.Option(
            "--reads", metavar="EXCHANGE", help="Its queues are bound to this one of others; may be repeated."
        ),
    ] = None,
    user: Annotated[
        str | None, typer.Option("--user", metavar="NAME", help="Who gets them; default: the source, or the group.")
    ] = None,
    virtual_host: Annotated[str, typer.Option("--vhost", metavar="NAME")] = "/",
    exchange: options.Exchange = None,
    settings: options.SettingsFile = None,
) -> None:
    """Print the rabbitmqctl commands that give a broker user the rights it needs, and no others.

    The user exists: `rabbitmqctl add_user NAME` asks for a password. The commands replace the rights it had.
    """
    from bus_amqp.admin.permissions import Role, commands

    role = Role(publisher, tuple(group or ()), temporary, declare, tuple(reads or ()))
    name = user or publisher or (group[0] if group else None)
    if not name:
        raise typer.BadParameter("--temporary needs --user NAME: who gets the rights?")
    loaded = options.settings_from(None, exchange, settings)
    for command in commands(role, loaded.exchange, user=name, virtual_host=virtual_host):
        output.result(command)
