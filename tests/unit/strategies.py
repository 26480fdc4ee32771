"""What hypothesis makes: every event that the constructor accepts, and texts that strain a routing key."""

from datetime import UTC, datetime, timedelta, timezone
from typing import Any

from hypothesis import strategies as st

from bus_amqp.event import Event

characters = st.characters(exclude_categories=["Cs"])  # half a surrogate pair is no text: pydantic refuses it
# The signs that mean something in a key, beside everything else.
strained = st.one_of(st.sampled_from("._-%*#25EFD \t\n\u00a0\u2028"), characters)
words = st.text(strained, max_size=12)
required_words = st.text(strained, min_size=1, max_size=12)

json_values = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.integers(min_value=-(10**400), max_value=10**400)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(characters, max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(characters, max_size=5), inner, max_size=3),
    max_leaves=12,
)
details = st.dictionaries(st.text(characters, max_size=8), json_values, max_size=4)

zones = st.integers(-14 * 60, 14 * 60).map(lambda minutes: timezone(timedelta(minutes=minutes)))
times = st.datetimes(
    min_value=datetime(1, 1, 2),  # noqa: DTZ001 -- hypothesis adds the zone
    max_value=datetime(9999, 12, 30),  # noqa: DTZ001 -- the same
    timezones=zones | st.just(UTC),
)


@st.composite
def events(draw: st.DrawFn) -> Event:
    """Draw any event."""
    fields: dict[str, Any] = {
        "event_category": draw(required_words),
        "event_type": draw(required_words),
        "event_source": draw(required_words),
    }
    optional = {
        "resource_type": words,
        "resource_uuid": words,
        "description": st.text(characters, max_size=40),
        "event_id": st.uuids(),
        "event_time": times,
        "details": details,
        "correlation_id": st.none() | st.text(characters, max_size=10),
        "causation_id": st.none() | st.uuids(),
    }
    for name, strategy in optional.items():
        if draw(st.booleans()):
            fields[name] = draw(strategy)
    return Event(**fields)
