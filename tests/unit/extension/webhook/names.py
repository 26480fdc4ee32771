"""Names without a name server: a test must not wait for one that does not answer."""

from __future__ import annotations

import socket

import pytest


def ask_no_name_server(monkeypatch: pytest.MonkeyPatch) -> None:
    """Have ``localhost`` be where it always is, addresses be themselves, and every other name be unknown."""
    ask = socket.getaddrinfo

    def answer(host: str, *rest: object, **options: object) -> object:
        if host == "localhost":
            host = "127.0.0.1"
        elif any(sign.isalpha() for sign in host) and ":" not in host:
            raise socket.gaierror(socket.EAI_NONAME, f"{host} is not known")
        return ask(host, *rest, **options)  # type: ignore[arg-type]  # as they came

    monkeypatch.setattr(socket, "getaddrinfo", answer)
