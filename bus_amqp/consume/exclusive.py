"""The queue of who only looks on: made by the connection that consumes, and gone with it.

Called on the consumer thread, which alone can: the broker lets no other connection near an exclusive queue.  So nobody
audits it either; when it goes, the broker cancels its consumer or the connection is lost, and both are noticed.
"""

from __future__ import annotations

from uuid import uuid4

from bus_amqp.consume.consumption import Consumption
from bus_amqp.health import Gap
from bus_amqp.topology.plan import with_queue_elsewhere
from bus_amqp.transport.base import Connection


def declare_exclusive(consumption: Consumption, connection: Connection) -> Gap | None:
    """Make its queue and bindings; return the time without them, if this is not the first time.

    Each time under another name: the broker may not have noticed yet that the old connection is dead.
    """
    if consumption.outage.lost_at is None:
        connection.declare(consumption.plan)
        return None
    queue = f"{consumption.queue.rpartition('.')[0]}.{uuid4()}"
    plan = with_queue_elsewhere(consumption.plan, consumption.queue, queue)
    connection.declare(plan)
    consumption.move(queue, plan)
    return consumption.outage.gap()
