"""The ready-made machines by the type of their resource."""

import difflib
from types import MappingProxyType

from bus_amqp.errors import InvalidArgumentError
from bus_amqp.source.machines.host import HOST
from bus_amqp.source.machines.network import NETWORK
from bus_amqp.source.machines.nic import NIC
from bus_amqp.source.machines.snapshot import SNAPSHOT
from bus_amqp.source.machines.virtual_machine import VIRTUAL_MACHINE
from bus_amqp.source.machines.volume import VOLUME
from bus_amqp.source.state_machine import StateMachine

MACHINES = MappingProxyType(
    {machine.name: machine for machine in (VIRTUAL_MACHINE, VOLUME, NETWORK, SNAPSHOT, NIC, HOST)}
)


def machine_of(resource_type: str) -> StateMachine:
    """Return the ready-made machine.  Raises ``InvalidArgumentError`` that names the ones there are."""
    if (machine := MACHINES.get(resource_type)) is not None:
        return machine
    near = difflib.get_close_matches(str(resource_type), MACHINES, n=1)
    raise InvalidArgumentError(
        f"there is no ready-made machine {resource_type!r}"
        + (
            f": did you mean {near[0]}?"
            if near
            else f": there are {', '.join(MACHINES)}; others are a StateMachine each"
        )
    )
