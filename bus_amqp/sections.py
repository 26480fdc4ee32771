"""The sections of the settings: one frozen model for each component, with its knobs and their bounds.

What is no knob is a constant beside the code that it concerns, with its reason.
"""

from __future__ import annotations

from pathlib import Path
from typing import Literal, Self

from pydantic import BaseModel, ConfigDict, Field, model_validator

from bus_amqp.backoff import CEILING_SECONDS

OUTBOX_OVERHEAD_BYTES = 512  # what a waiting event's Python objects take beside its body, roughly


class Section(BaseModel):
    """Refuses unknown keys, and changes."""

    model_config = ConfigDict(frozen=True, extra="forbid")


class ConnectionSettings(Section):
    """One connection to the broker."""

    connect_timeout_seconds: float = Field(default=5.0, gt=0, description="For one connection, and for one request.")
    heartbeat_seconds: int = Field(default=10, ge=1, description="A peer silent for two of these is dead.")
    reconnect_pause_seconds: float = Field(
        default=CEILING_SECONDS, gt=0, description="The longest pause between tries; each is random."
    )
    use_bulk_frames: bool = Field(
        default=True, description="False: the plain kombu and py-amqp channel, 3 to 10 times slower."
    )
    ca_file: Path | None = Field(
        default=None, description="The authorities (PEM) that may vouch for the broker; default: the system's."
    )
    certificate_file: Path | None = Field(
        default=None, description="Our own certificate and what leads to its authority (PEM), for brokers that ask."
    )
    key_file: Path | None = Field(
        default=None, description="The certificate's key, without a passphrase; default: in the certificate's file."
    )
    login: Literal["plain", "external"] = Field(
        default="plain", description="external: the certificate says who we are; the url then needs no user."
    )

    @model_validator(mode="after")
    def _check_certificate(self) -> Self:
        if self.certificate_file is None and (self.key_file is not None or self.login == "external"):
            needed_by = "connection.key_file" if self.key_file is not None else "connection.login = 'external'"
            raise ValueError(f"{needed_by} needs connection.certificate_file: name the certificate that goes with it")
        return self


class PublisherSettings(Section):
    """The outbound pipeline."""

    outbox_events: int = Field(default=100_000, ge=1, description="How many accepted events may wait for a confirm.")
    outbox_bytes: int = Field(default=256 * 1024 * 1024, ge=1024, description="The same, by size.")
    outbox_directory: Path | None = Field(
        default=None, description="Where accepted events are on disk too, and survive their process; None: in memory."
    )
    outbox_synchronous: Literal["normal", "full"] = Field(
        default="normal", description="normal: survives the process; full: a power cut too, at a disk write per commit."
    )
    outbox_max_age_seconds: float | None = Field(
        default=None, gt=0, description="With a directory: older events are moved aside instead of sent; None: never."
    )
    outbox_rescan_seconds: float = Field(
        default=30.0, gt=0, description="How often to look there for events of processes that have ended since."
    )
    publish_timeout_seconds: float = Field(default=0.1, ge=0, description="How long publish waits for room.")
    max_event_bytes: int = Field(
        default=1024 * 1024, ge=1024, description="Larger events are refused, and dead-lettered on arrival."
    )
    set_user_id: bool = Field(
        default=False, description="Messages carry the login as AMQP's user_id: the broker refuses a forged one."
    )
    confirm_window: int = Field(default=4096, ge=1, description="Messages sent and not yet confirmed, at most.")
    confirm_timeout_seconds: float = Field(
        default=30.0, gt=0, description="Without an answer for so long, messages are sent again on another channel."
    )

    @model_validator(mode="after")
    def _check_room(self) -> Self:
        if self.outbox_bytes < (needed := self.max_event_bytes + OUTBOX_OVERHEAD_BYTES):
            raise ValueError(
                f"publisher.outbox_bytes = {self.outbox_bytes} has no room for the largest event: make it {needed} "
                f"(publisher.max_event_bytes = {self.max_event_bytes}, and overhead) or more, or lower that"
            )
        return self


class ConsumerSettings(Section):
    """The inbound pipeline."""

    prefetch: int = Field(
        default=500, ge=1, le=65535, description="Events in hand per subscription, if it names no number of its own."
    )
    audit_seconds: float = Field(
        default=30.0, gt=0, description="How often each subscription is compared with what is on the broker."
    )
    backlog_warning: int = Field(
        default=100_000, ge=1, description="Health warns when more events than this wait in a queue."
    )
    handler_timeout_seconds: float = Field(
        default=300.0, ge=0, description="A handler that runs longer is reported, never ended; 0: none is."
    )
