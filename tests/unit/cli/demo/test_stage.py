"""What one run of the demonstration leaves on the broker it plays on."""

from pathlib import Path

import pytest

from bus_amqp.cli.demo import stage as stage_module
from bus_amqp.cli.demo.parties import CONSUMERS, reference_of
from bus_amqp.cli.demo.stage import EXCHANGE, GROUPS, stage
from bus_amqp.engine.connect import connect
from bus_amqp.errors import ConnectionLostError
from bus_amqp.process.loader import load_subscribers
from bus_amqp.settings import Settings
from bus_amqp.transport.memory.connection import MemoryConnector


def test_a_broker_of_ours_always_has_the_same_exchange() -> None:
    """It ends with the run: there is nobody to keep apart from."""
    with stage(Settings(), is_ours=True) as exchange:
        assert exchange == EXCHANGE


def test_what_the_parties_made_is_taken_down(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whoever lends a broker gets it back as it was: no queue, no exchange, no dead letter."""
    monkeypatch.chdir(tmp_path)  # where the parties keep their books
    url = "memory://stage"
    lent = MemoryConnector("stage", exchange="bus.events", max_body_bytes=1000)
    broker = lent.connect("looker")._memory_broker
    try:
        with stage(Settings(url=url), is_ours=False, choose=lambda numbers: 10) as exchange:
            with connect(url, exchange=exchange) as bus:
                for party in dict.fromkeys(CONSUMERS.values()):
                    with load_subscribers(reference_of(party))(bus) as subscribers:
                        bus.subscribe_all(subscribers)
            assert exchange == f"{EXCHANGE}-00a"
            left = {name for name in broker.queue_names() if name.startswith(exchange)}
            assert left >= {f"{exchange}.{group}" for group in GROUPS}

        assert [name for name in broker.queue_names() if name.startswith(EXCHANGE)] == []
        assert [name for name in broker.objects.exchanges if name.startswith(EXCHANGE)] == []
    finally:
        lent.close()


def test_what_cannot_be_taken_down_is_told(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    """The run itself went well: a broker that is gone by then is no reason to fail, and none to be silent."""

    def gone(*_: object, **__: object) -> None:
        raise ConnectionLostError("nobody answers")

    monkeypatch.setattr(stage_module, "take_down", gone)
    with stage(Settings(url="memory://gone"), is_ours=False, choose=lambda numbers: numbers - 1):
        pass

    assert "bus.demo-fff and the queues bus.demo-fff.* stay on the broker: nobody answers" in capsys.readouterr().err
