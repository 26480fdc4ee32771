"""``Definitions``: all webhooks of one TOML file, refused with file and line if anything is wrong with them."""

from __future__ import annotations

import ssl
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pydantic import Field

from bus_amqp import SettingsError
from bus_amqp.extension.toml_file import Place, TomlFile, read_toml
from bus_amqp.extension.webhook.definition import HistoryTable, NetworkTable, Table, Webhook, checked_secrets
from bus_amqp.extension.webhook.errors import ForbiddenAddressError


class FileTable(Table):
    """The whole file."""

    network: NetworkTable = NetworkTable()
    history: HistoryTable = HistoryTable()
    webhook: dict[str, dict[str, Any]] = Field(min_length=1)


@dataclass(frozen=True, slots=True)
class Definitions:
    """What the file says, its paths absolute."""

    path: Path
    network: NetworkTable
    history_file: Path
    history_deliveries: int
    webhooks: tuple[Webhook, ...]

    def webhook(self, name: str) -> Webhook:
        """Return the webhook of that name.  Raises ``SettingsError``."""
        for webhook in self.webhooks:
            if webhook.name == name:
                return webhook
        raise SettingsError(f"{self.path} defines no webhook {name!r}: {', '.join(one.name for one in self.webhooks)}")


def load_definitions(path: Path | str) -> Definitions:
    """Return the definitions.  Raises ``SettingsError`` (``webhooks.toml:12: ...``).

    Addresses that are written down are checked here; names are looked up at each delivery and not before, for what they
    lead to may change, and a name server that is down must not keep the process from starting.
    """
    file = read_toml(Path(path))
    table = file.checked(FileTable, file.data)
    folder = file.path.absolute().parent
    webhooks: list[Webhook] = []
    for name, lines in table.webhook.items():
        place: Place = ("webhook", name)
        if "name" in lines:
            raise file.fault(f"unknown key name: [webhook.{name}] is the name", (*place, "name"))
        webhook = file.checked(Webhook, {"name": name, **lines}, place)
        _check_target(file, table.network, webhook, place)
        webhooks.append(_with_absolute_paths(webhook, folder))
        _check_files(file, webhooks[-1], place)
    if "\0" in str(table.history.file):
        raise file.fault(f"{str(table.history.file)!r} is no name of a file", ("history", "file"))
    history = table.history.file or Path(f"{file.path.stem}.history.db")
    return Definitions(file.path, table.network, folder / history, table.history.deliveries, tuple(webhooks))


def secrets_of(webhook: Webhook) -> tuple[str, ...]:
    """Return the secrets to sign with now; none: unsigned.  A file is read each time, so that it may be changed.

    Raises ``SettingsError`` that names the file.
    """
    if webhook.secret is not None:
        return webhook.secret
    if webhook.secret_file is None:
        return ()
    try:
        lines = webhook.secret_file.read_text(encoding="utf-8").splitlines()
        return checked_secrets(tuple(line.strip() for line in lines if line.strip()))
    except OSError as exc:
        raise SettingsError(f"secret_file {webhook.secret_file}: {exc.strerror}") from exc
    except ValueError as exc:  # UnicodeDecodeError is one, and its text would show the bytes
        why = "not UTF-8" if isinstance(exc, UnicodeDecodeError) else str(exc)
        raise SettingsError(f"secret_file {webhook.secret_file}: {why}") from exc


def _check_target(file: TomlFile, network: NetworkTable, webhook: Webhook, place: Place) -> None:
    target = webhook.target
    if network.ports is not None and target.port not in network.ports:
        raise file.fault(f"port {target.port} is not among the ports of [network]", (*place, "url"))
    if target.literal is not None:
        try:
            network.policy.check(target.literal)
        except ForbiddenAddressError as exc:
            raise file.fault(str(exc), (*place, "url")) from exc


def _check_files(file: TomlFile, webhook: Webhook, place: Place) -> None:
    for key, path in (("secret_file", webhook.secret_file), ("ca_file", webhook.ca_file)):
        if path is not None and not path.is_file():
            raise file.fault(f"{key}: there is no file {path}", (*place, key))
    if webhook.ca_file is not None:
        try:
            ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT).load_verify_locations(webhook.ca_file)
        except OSError as exc:  # SSLError is one
            raise file.fault(f"ca_file: {webhook.ca_file}: {exc.strerror or exc}", (*place, "ca_file")) from exc
    try:
        secrets_of(webhook)
    except SettingsError as exc:
        raise file.fault(str(exc), (*place, "secret_file")) from exc


def _with_absolute_paths(webhook: Webhook, folder: Path) -> Webhook:
    paths = {key: path for key in ("secret_file", "ca_file") if (path := getattr(webhook, key)) is not None}
    return webhook.model_copy(update={key: folder / path for key, path in paths.items()})
