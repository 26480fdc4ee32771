"""The trial event: it is one that the rule hears."""

from hypothesis import given
from hypothesis import strategies as st

from bus_amqp import EventTopic
from bus_amqp.extension.notify.trial import trial_event

WORD = st.sampled_from(["VM", "START", "*", "#"])
TYPES = st.lists(WORD, min_size=1, max_size=5).map(".".join)


@given(st.none() | TYPES, st.none() | st.just("UsageEvent"), st.none() | st.just(""), st.none() | st.just("agent"))
def test_a_trial_event_is_of_its_topic(kind: str | None, category: str | None, uuid: str | None, source: str | None):
    """A test message that the rule would never send tests nothing."""
    topic = EventTopic(event_type=kind, event_category=category, resource_uuid=uuid, event_source=source)

    assert topic.matches(trial_event(topic))
