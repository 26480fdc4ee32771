"""``Webhook``: one webhook as it is defined, and the sections around it, checked as far as they can be alone.

Pydantic models of what stands in the TOML file; what needs the whole file is checked in ``file``.
"""

from __future__ import annotations

import re
from ipaddress import ip_network
from pathlib import Path
from typing import Annotated, Any, Self

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, ValidationInfo, field_validator, model_validator

from bus_amqp import EventTopic, InvalidArgumentError, RetryPolicy
from bus_amqp.extension.webhook.address import AddressPolicy, Network
from bus_amqp.extension.webhook.errors import ForbiddenAddressError
from bus_amqp.extension.webhook.scope import Scope, path_of
from bus_amqp.extension.webhook.target import Target, parse_url

SHORTEST_SECRET = 16  # characters; less can be guessed from one signed request
LONGEST_SECRET = 1024
# A process that is told to end waits 30 s for what is in hand.
LONGEST_TIMEOUT_SECONDS = 25.0
# An ordered webhook waits in the process, and holds the event: RabbitMQ ends a consumer that holds one for 30 minutes.
LONGEST_ORDERED_WAIT_SECONDS = 1200.0
# Some three hours: a receiver that is deployed anew, or whose people are asleep for a while.
RETRY = RetryPolicy(attempts=8, delays_seconds=(5, 30, 120, 600, 3600))
ORDERED_RETRY = RetryPolicy(attempts=7, delays_seconds=(5, 30, 120, 300))
_NAME = re.compile(r"[A-Za-z0-9_-]{1,56}")
_TOKEN = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]{1,100}")  # RFC 9110
_VALUE = re.compile(r"[\x21-\x7e](?:[\x20-\x7e\t]{0,4094}[\x21-\x7e])?")
# What HTTP itself needs, and what says whose request it is: not for a definition to change.
_RESERVED = frozenset(
    {
        "host", "content-length", "content-type", "content-encoding", "transfer-encoding", "connection", "keep-alive",
        "te", "trailer", "upgrade", "expect", "accept-encoding", "user-agent", "proxy-authorization",
        "proxy-connection",
    }
)  # fmt: skip
_RESERVED_PREFIX = "x-bus-"


class Table(BaseModel):
    """Refuses unknown keys, and changes; its errors do not show what was written."""

    model_config = ConfigDict(frozen=True, extra="forbid", hide_input_in_errors=True)


class TopicTable(Table):
    """The five fields of an ``EventTopic``."""

    event_category: str | None = None
    event_type: str | None = None
    resource_type: str | None = None
    resource_uuid: str | None = None
    event_source: str | None = None

    @model_validator(mode="after")
    def _check(self) -> Self:
        self.topic()
        return self

    def topic(self) -> EventTopic:
        """Return it as the bus wants it.  Raises ``InvalidArgumentError``."""
        return EventTopic(
            event_category=self.event_category,
            event_type=self.event_type,
            resource_type=self.resource_type,
            resource_uuid=self.resource_uuid,
            event_source=self.event_source,
        )


class RetryTable(Table):
    """The two numbers of a ``RetryPolicy`` that make sense here."""

    attempts: int
    delays_seconds: tuple[float, ...]

    @model_validator(mode="after")
    def _check(self) -> Self:
        RetryPolicy(attempts=self.attempts, delays_seconds=self.delays_seconds)
        return self


class NetworkTable(Table):
    """Where webhooks may go, for all of the file.  ``ports`` None: any."""

    allow: tuple[Network, ...] = ()
    deny: tuple[Network, ...] = ()
    ports: tuple[Annotated[int, Field(ge=1, le=65535)], ...] | None = None

    @field_validator("allow", "deny", mode="before")
    @classmethod
    def _parse(cls, value: object) -> object:
        return tuple(map(_network, value)) if isinstance(value, list | tuple) else value

    @property
    def policy(self) -> AddressPolicy:
        """What is asked of every address."""
        return AddressPolicy(self.allow, self.deny)


class HistoryTable(Table):
    """Where deliveries are written down (default: beside the definitions), and how many for each webhook."""

    file: Path | None = None
    deliveries: int = Field(default=1000, ge=1, le=1_000_000)


def _as_list(value: object) -> object:
    return value if isinstance(value, list | tuple) else (value,)


class Webhook(Table):
    """One webhook: ``[webhook.<name>]``.  ``topic``: one or several; none given: every event."""

    name: str
    allow_http: bool = False  # before the url, whose check asks for it
    url: str = Field(repr=False)
    topic: Annotated[tuple[TopicTable, ...], BeforeValidator(_as_list)] = Field(default=(TopicTable(),), min_length=1)
    account: str | None = Field(default=None, min_length=1)
    domain: str | None = Field(default=None, min_length=1)
    subdomains: bool = True
    secret: Annotated[tuple[str, ...], BeforeValidator(_as_list)] | None = Field(default=None, repr=False)
    secret_file: Path | None = None
    unsigned: bool = False
    enabled: bool = True
    headers: dict[str, str] = Field(default={}, repr=False)
    ca_file: Path | None = None
    timeout_seconds: float = Field(default=10.0, gt=0, le=LONGEST_TIMEOUT_SECONDS)
    workers: int = Field(default=4, ge=1, le=64)
    ordered: bool = False
    retry: RetryTable | None = None

    @field_validator("name")
    @classmethod
    def _check_name(cls, value: str) -> str:
        if not _NAME.fullmatch(value):
            raise ValueError("use 1 to 56 of the characters A-Z a-z 0-9 _ -: it is a part of a queue's name")
        return value

    @field_validator("url")
    @classmethod
    def _check_url(cls, value: str, info: ValidationInfo) -> str:
        parse_url(value, allow_http=bool(info.data.get("allow_http")))
        return value

    @field_validator("domain")
    @classmethod
    def _check_domain(cls, value: str | None) -> str | None:
        if value is not None and not all(path_of(value)):
            raise ValueError("a domain is an id, a name, or a path of names with single slashes between")
        return value

    @field_validator("secret")
    @classmethod
    def _check_secret(cls, value: tuple[str, ...] | None) -> tuple[str, ...] | None:
        return None if value is None else checked_secrets(value)

    @field_validator("headers")
    @classmethod
    def _check_headers(cls, value: dict[str, str]) -> dict[str, str]:
        for name, content in value.items():
            if not _TOKEN.fullmatch(name):
                raise ValueError(f"{name!r} is no name of a header")
            if name.lower() in _RESERVED or name.lower().startswith(_RESERVED_PREFIX):
                raise ValueError(f"{name} is set by the bus itself")
            if not _VALUE.fullmatch(content):
                raise ValueError(f"the value of {name} must be printable ASCII, without line breaks and outer blanks")
        if len({name.lower() for name in value}) < len(value):
            raise ValueError("one header has two values")
        return value

    @model_validator(mode="after")
    def _check(self) -> Self:
        given = [self.secret is not None, self.secret_file is not None, self.unsigned]
        if sum(given) != 1:
            raise ValueError(
                "say how the receiver knows who calls: secret, or secret_file, or unsigned = true; one of the three"
            )
        waits = self.policy.delays_seconds
        total = sum(waits[min(number, len(waits) - 1)] for number in range(self.policy.attempts - 1))
        if self.ordered and total > LONGEST_ORDERED_WAIT_SECONDS:
            raise ValueError(
                f"ordered: the delays of retry are {total:g} s in all, and an event that later ones wait for is held "
                f"in the process: {LONGEST_ORDERED_WAIT_SECONDS:g} s at most"
            )
        return self

    @property
    def group(self) -> str:
        """The group of the bus whose queue is this webhook's."""
        return f"webhook-{self.name}"

    @property
    def topics(self) -> tuple[EventTopic, ...]:
        """What it subscribes to."""
        return tuple(table.topic() for table in self.topic)

    @property
    def target(self) -> Target:
        """Where it leads."""
        return parse_url(self.url, allow_http=self.allow_http)

    @property
    def scope(self) -> Scope:
        """Whose events it gets."""
        return Scope(self.account, self.domain, self.subdomains)

    @property
    def policy(self) -> RetryPolicy:
        """When a failed delivery is tried again.  Not where we refuse to go: that will be no better in an hour."""
        default = ORDERED_RETRY if self.ordered else RETRY
        return RetryPolicy(
            attempts=self.retry.attempts if self.retry else default.attempts,
            delays_seconds=self.retry.delays_seconds if self.retry else default.delays_seconds,
            no_retry_on=(ForbiddenAddressError,),
            keep_order=self.ordered,
        )


def checked_secrets(secrets: tuple[str, ...]) -> tuple[str, ...]:
    """Return one secret, or the new and the old one.  Raises ``ValueError``."""
    if not 1 <= len(secrets) <= 2:
        raise InvalidArgumentError("one secret, or two while it is being changed: the new one, then the old one")
    for secret in secrets:
        if not SHORTEST_SECRET <= len(secret) <= LONGEST_SECRET or not secret.isprintable():
            raise InvalidArgumentError(
                f"a secret has {SHORTEST_SECRET} to {LONGEST_SECRET} printable characters "
                "(openssl rand -hex 32 makes one)"
            )
    return secrets


def _network(value: Any) -> Network:
    if not isinstance(value, str):
        raise ValueError(f'{value!r} is no network: write a string, as in "10.20.0.0/16"')
    try:
        return ip_network(value)
    except ValueError as exc:
        raise ValueError(f"{value!r} is no network: {exc}") from exc
