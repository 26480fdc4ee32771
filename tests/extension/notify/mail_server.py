"""A real SMTP server on loopback, for tests: it keeps what it takes, and may be away for a while."""

from __future__ import annotations

import email
import email.policy
import threading
from email.message import EmailMessage

from aiosmtpd.controller import Controller
from aiosmtpd.smtp import SMTP, Envelope, Session

from bus_amqp.testing.free_port import free_port
from tests.promise.waiting import TIMEOUT_SECONDS, wait_until

LOOPBACK = "127.0.0.1"


class MailServer:
    """Owns aiosmtpd's thread while it is started; ``stop`` and ``start`` keep the port and the mail."""

    def __init__(self) -> None:
        self.port = free_port()
        self._lock = threading.Lock()
        self._taken: list[EmailMessage] = []  # guarded by _lock
        self._controller: Controller | None = None
        self.refusal = ""  # what is answered to a mail instead of taking it, "552 too big" say
        self.unknown: tuple[str, ...] = ()  # recipients that are refused

    def url(self, *, to: str = "operations@example.org", password: str = "") -> str:
        """Return the url that Apprise sends to it by."""
        login = f"bus:{password}@" if password else ""
        return f"mailto://{login}{LOOPBACK}:{self.port}?mode=insecure&cto=1&from=bus@example.org&to={to}"

    async def handle_RCPT(  # noqa: N802 -- aiosmtpd's name
        self, server: SMTP, session: Session, envelope: Envelope, address: str, options: list[str]
    ) -> str:
        """Take a recipient."""
        if address in self.unknown:
            return "550 no such user"
        envelope.rcpt_tos.append(address)
        return "250 known"

    async def handle_DATA(self, server: SMTP, session: Session, envelope: Envelope) -> str:  # noqa: N802 -- aiosmtpd's name
        """Take a mail."""
        if self.refusal:
            return self.refusal
        content = envelope.content
        assert isinstance(content, bytes)
        with self._lock:
            self._taken.append(email.message_from_bytes(content, policy=email.policy.default))
        return "250 taken"

    def start(self) -> None:
        """Answer."""
        controller = Controller(self, hostname=LOOPBACK, port=self.port)
        controller.start()
        self._controller = controller

    def stop(self) -> None:
        """Answer no more."""
        if self._controller is not None:
            self._controller.stop()
            self._controller = None

    @property
    def subjects(self) -> list[str]:
        """The subjects of all mails so far."""
        with self._lock:
            return [str(mail["subject"]) for mail in self._taken]

    def wait_for(self, count: int, timeout_seconds: float = TIMEOUT_SECONDS) -> list[EmailMessage]:
        """Wait until that many mails came, and return them."""
        wait_until(lambda: len(self.subjects) >= count, f"{count} mails", timeout_seconds)
        with self._lock:
            return list(self._taken)


def text_of(mail: EmailMessage) -> str:
    """Return the plain text of a mail."""
    part = mail.get_body(("plain", "html"))
    assert part is not None
    return str(part.get_content())
