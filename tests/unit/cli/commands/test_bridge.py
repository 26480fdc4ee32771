"""`bus-amqp bridge cloudstack` and `tail --cloudstack` on a broker in memory: how they may be used."""

from __future__ import annotations

import pytest

from bus_amqp.cli.main import main
from tests.promise.world import MemoryWorld


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (["bridge", "cloudstack", "--twins", "drpo"], "drop, mark or keep"),
        (["bridge", "cloudstack", "--from", "bus.events"], "round for ever"),
        (["bridge", "cloudstack", "--group", "a.b"], "group"),
        (["bridge", "openstack"], "openstack"),
        (["bridge"], "Missing command"),
        (["tail", "--cloudstack", "memory://other"], "either --url or --cloudstack"),
    ],
)
def test_wrong_use_is_told_with_status_2(
    arguments: list[str], told: str, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """A scheduler that starts it must see that no second try will help."""
    url = [] if arguments[0] == "bridge" and len(arguments) < 3 else ["--url", "memory://"]

    assert main([*arguments, *url]) == 2

    assert told in capsys.readouterr().err


def test_an_exchange_that_is_not_there_is_told(exchange: str, capsys: pytest.CaptureFixture[str]) -> None:
    """It is CloudStack's to make: made by us, it could be of another kind."""
    world = MemoryWorld(exchange)
    try:
        for arguments in (["tail", "--cloudstack"], ["bridge", "cloudstack", "--url"]):
            assert main([*arguments, world.broker.address, "--exchange", exchange]) == 1
            assert "no exchange 'cloudstack-events'" in capsys.readouterr().err
    finally:
        world.close()
