"""A broker that outlives the command that started it: ``bus-amqp broker up``, ``status`` and ``down``.

What stands is remembered in one small file in the user's state directory.
"""

from collections.abc import Callable
from pathlib import Path
from typing import Literal

import platformdirs
from pydantic import BaseModel, ConfigDict, ValidationError

from bus_amqp.errors import TransportError
from bus_amqp.testing.broker import GivenBroker, RealBroker
from bus_amqp.testing.docker_broker import DEFAULT_IMAGE, DockerBroker
from bus_amqp.testing.free_port import free_port, is_free
from bus_amqp.testing.private_node import PrivateNode
from bus_amqp.testing.real_broker import start_in_docker, start_private_node

_USUAL_PORT, _USUAL_MANAGEMENT_PORT = 5672, 15672


class _Record(BaseModel):
    """What must be known to find the broker again."""

    model_config = ConfigDict(frozen=True)

    kind: Literal["docker", "node"]
    container: str = ""
    amqp_port: int = 0
    version: str = ""
    remove: tuple[str, ...] = ()
    directory: Path = Path()


def up(
    *,
    url: str | None = None,
    image: str | None = None,
    name: str = "bus-amqp",
    allow_install: bool = True,
    say: Callable[[str], None] = lambda told: None,
    state_directory: Path | None = None,
) -> RealBroker:
    """Return the broker that stands, started first (on the usual ports, if they are free) if none does."""
    if url is not None:
        return GivenBroker(url)
    standing = status(state_directory)
    if standing is not None:
        return standing
    amqp_port = _USUAL_PORT if is_free(_USUAL_PORT) else free_port()
    management_port = _USUAL_MANAGEMENT_PORT if is_free(_USUAL_MANAGEMENT_PORT) else free_port()
    broker: DockerBroker | PrivateNode | None = start_in_docker(
        image or DEFAULT_IMAGE, name=name, amqp_port=amqp_port, management_port=management_port, say=say
    )
    if broker is None:
        broker = start_private_node(amqp_port=amqp_port, allow_install=allow_install, say=say)
    file = _record_file(state_directory)
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(_record_of(broker).model_dump_json())
    return broker


def status(state_directory: Path | None = None) -> RealBroker | None:
    """Return the broker that ``up`` started, if it still runs."""
    broker = _remembered(state_directory)
    return broker if broker is not None and broker.is_running else None


def down(state_directory: Path | None = None) -> RealBroker | None:
    """End the broker that ``up`` started, forget its queues, and return what it was; None if there was none."""
    broker = _remembered(state_directory)
    if broker is not None:
        broker.stop()
    _record_file(state_directory).unlink(missing_ok=True)
    return broker


def _record_file(state_directory: Path | None) -> Path:
    return (state_directory or platformdirs.user_state_path("bus-amqp", appauthor=False)) / "broker.json"


def _record_of(broker: DockerBroker | PrivateNode) -> _Record:
    match broker:
        case DockerBroker():
            return _Record(
                kind="docker",
                container=broker.container,
                amqp_port=broker.amqp_port,
                version=broker.version,
                remove=broker.remove,
            )
        case PrivateNode():
            return _Record(kind="node", directory=broker.directory)


def _remembered(state_directory: Path | None) -> DockerBroker | PrivateNode | None:
    try:
        record = _Record.model_validate_json(_record_file(state_directory).read_bytes())
        if record.kind == "node":
            return PrivateNode.reopen(record.directory)
    except (OSError, ValidationError, TransportError):
        return None  # nothing was started, or its temporary directory is gone and it with that
    broker = DockerBroker(record.container, amqp_port=record.amqp_port, remove=record.remove)
    broker.version = record.version
    return broker
