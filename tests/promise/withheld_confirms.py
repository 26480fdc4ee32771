"""A broker that takes events and confirms none, as a quorum queue without a majority does."""

from collections.abc import Iterator
from contextlib import contextmanager

from tests.promise.amqp_world import AmqpWorld
from tests.promise.world import MemoryWorld, World

# The queue's process stands still: it takes messages and answers nothing.
_ON_QUEUE = (
    '{ok, Q} = rabbit_amqqueue:lookup(rabbit_misc:r(<<"/">>, queue, <<"%s">>)), ok = sys:%s(amqqueue:get_pid(Q)).'
)


@contextmanager
def withheld_confirms(world: World, queue: str) -> Iterator[None]:
    """Have no event confirmed that goes to this queue (of a group); at the end all are, as far as still asked for."""
    _withhold(world, queue, "suspend")
    try:
        yield
    finally:
        _withhold(world, queue, "resume")


def _withhold(world: World, queue: str, what: str) -> None:
    if isinstance(world, MemoryWorld):
        (world.broker.hold_confirms if what == "suspend" else world.broker.release_confirms)()
    else:
        assert isinstance(world, AmqpWorld)
        world.rabbitmq.rabbitmqctl("eval", _ON_QUEUE % (queue, what))
