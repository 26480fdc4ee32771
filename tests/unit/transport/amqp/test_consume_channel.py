"""Which acknowledgement frames settle which deliveries."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from bus_amqp.transport.amqp.consume_channel import OpenTags

batches = st.lists(st.tuples(st.booleans(), st.lists(st.integers(1, 25), max_size=12)), max_size=8)


@given(batches=batches)
def test_each_delivery_is_settled_once_and_never_another_one(batches):
    """A multiple acknowledgement that reaches too far loses events; one sent twice costs the channel (406)."""
    tags = OpenTags()
    open_on_broker = set(range(1, 26))

    for is_accepted, batch in batches:
        settled = set(batch) & open_on_broker
        if is_accepted:
            through, others = tags.settle(batch)
            assert not through or through in open_on_broker, "the broker would not know the tag"
            frames_settle = {tag for tag in open_on_broker if tag <= through} | set(others)
            assert len(others) == len(set(others))
        else:
            each = tags.settle_each(batch)
            frames_settle = set(each)
            assert len(each) == len(set(each))
        assert frames_settle == settled
        open_on_broker -= settled


@given(order=st.permutations(range(1, 60)), size=st.integers(1, 10))
def test_nothing_is_remembered_once_all_is_settled(order, size):
    """A consumer runs for months: what it remembers of settled deliveries must not grow."""
    tags = OpenTags()

    for start in range(0, len(order), size):
        tags.settle(order[start : start + size])

    assert tags._settled == set()
    assert tags.settle([60]) == (60, [])


def test_tags_in_order_take_one_frame():
    """The usual case is one acknowledgement for a whole batch."""
    tags = OpenTags()

    assert tags.settle([1, 2, 3]) == (3, [])
    assert tags.settle([5, 7]) == (0, [5, 7])
    assert tags.settle([4, 6, 9]) == (6, [9])
