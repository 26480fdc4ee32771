"""``bus_amqp.ioloop.resolver``: a name server that is silent delays nobody and piles up no threads."""

from __future__ import annotations

import socket
import threading
from collections.abc import Iterator

import pytest

from bus_amqp.ioloop.resolver import Resolver
from tests.unit.fakes import WAIT_SECONDS, wait_until


@pytest.fixture
def asked(monkeypatch: pytest.MonkeyPatch) -> Iterator[tuple[list[str], threading.Event]]:
    """A name server that answers when it is let; what it was asked."""
    names: list[str] = []
    may_answer = threading.Event()
    real = socket.getaddrinfo

    def answer(host: str, port: int, *rest: object, **options: object) -> object:
        names.append(host)
        may_answer.wait(WAIT_SECONDS)
        if host == "nowhere":
            raise socket.gaierror(-2, "Name or service not known")
        return real("127.0.0.1", port, type=socket.SOCK_STREAM)

    monkeypatch.setattr(socket, "getaddrinfo", answer)
    yield names, may_answer
    may_answer.set()


def test_who_asks_again_shares_the_answer(asked: tuple[list[str], threading.Event]) -> None:
    """A loop that tries for an hour against a silent name server must not leave a thread for each try."""
    names, may_answer = asked
    resolver = Resolver()

    futures = [resolver.look_up("broker", 5672) for _ in range(50)]
    other = resolver.look_up("nowhere", 5672)
    wait_until(lambda: len(names) == 2)
    may_answer.set()

    assert {future.result(WAIT_SECONDS)[0][4] for future in futures} == {("127.0.0.1", 5672)}
    assert sorted(names) == ["broker", "nowhere"]
    with pytest.raises(socket.gaierror):
        other.result(WAIT_SECONDS)


def test_an_answer_is_not_kept(asked: tuple[list[str], threading.Event]) -> None:
    """A node that has moved is found at its new address."""
    names, may_answer = asked
    may_answer.set()
    resolver = Resolver()

    for _ in range(2):
        resolver.look_up("broker", 5672).result(WAIT_SECONDS)

    assert names == ["broker", "broker"]
