"""``bus_amqp.extension.cloudstack.decoder``: what becomes of twins, and of what has come from us."""

from __future__ import annotations

import pytest

from bus_amqp import Discard, Event, EventCategory, InvalidArgumentError, UndecodableError
from bus_amqp.extension.cloudstack.decoder import CloudStackDecoder, cloudstack_source
from bus_amqp.extension.cloudstack.publisher import cloudstack_message
from bus_amqp.source.action_details import ActionDetails
from bus_amqp.source.alert_details import AlertDetails
from bus_amqp.source.details import Details
from bus_amqp.source.job_details import AsyncJobDetails
from bus_amqp.source.state_details import ResourceStateDetails, StatePhase
from bus_amqp.source.usage_details import UsageDetails
from tests.unit.extension.cloudstack.messages import a_message, cases, message_of

STATE_KEY = "management-server.ResourceStateEvent.OperationSucceeded.Volume.u-1"
STATE = {"resource": "Volume", "id": "u-1", "old-state": "Creating", "new-state": "Ready"}
ACTION_KEY = "management-server.ActionEvent.VM-START.VirtualMachine."
RICH = {"event": "VM.START", "status": "Completed", "account": "a"}
POOR = {"event": "VM.START", "status": "Completed", "details": "Vm Id: 41"}


def decoder(twins: str = "mark", *, takes_own: bool = False) -> CloudStackDecoder:
    return CloudStackDecoder(twins=twins, takes_own=takes_own, clock=lambda: 0.0)


def test_a_marked_twin_says_so_and_has_an_id_of_its_own():
    """The second alone says that the transition has come about: with one id, a receiver would drop it unseen."""
    decode = decoder("mark")

    first, second = decode(a_message(STATE_KEY, STATE)), decode(a_message(STATE_KEY, STATE))

    assert "twin" not in first.details
    assert second.details["twin"] == "state"
    assert (first.details["phase"], second.details["phase"]) == ("pre", "post")
    assert first.event_id != second.event_id
    assert first.details["transitionId"] == second.details["transitionId"] == str(first.event_id)
    assert second.model_copy(update={"event_id": first.event_id, "details": first.details}) == first


def test_a_dropped_twin_is_discarded_with_the_reason():
    """`drop`: one transition, one event."""
    decode = decoder("drop")
    decode(a_message(STATE_KEY, STATE))

    with pytest.raises(Discard, match="state"):
        decode(a_message(STATE_KEY, STATE))


def test_kept_twins_are_as_they_came():
    """`keep`: nobody has looked; as they say the same, they have the same id."""
    decode = decoder("keep")

    first, second = decode(a_message(STATE_KEY, STATE)), decode(a_message(STATE_KEY, STATE))

    assert first == second
    assert ResourceStateDetails.from_wire(first.details).phase is StatePhase.UNKNOWN


@pytest.mark.parametrize("twins", ["drop", "mark"])
def test_a_message_that_comes_again_is_no_twin_of_itself(twins: str):
    """Nothing lost: after a lost connection the first one comes again, and dropped it would be gone."""
    decode = decoder(twins)
    first = decode(a_message(STATE_KEY, STATE))

    again = decode(a_message(STATE_KEY, STATE, is_repeated=True))

    assert again.event_id == first.event_id
    assert again.details["phase"] == "unknown", "it may as well be the second, whose first another process has seen"


def test_what_comes_again_is_never_dropped():
    """It may be the first of a later transition, and its event not published yet: dropped, it would be gone."""
    decode = decoder("drop")
    decode(a_message(STATE_KEY, {**STATE, "eventDateTime": "2026-03-04 17:59:24 +0100"}))
    decode(a_message(f"{ACTION_KEY}u-1", RICH))

    state = decode(a_message(STATE_KEY, {**STATE, "eventDateTime": "2026-03-04 17:59:25 +0100"}, is_repeated=True))
    action = decode(a_message(f"{ACTION_KEY}*", POOR, is_repeated=True))

    assert (state.details["twin"], action.details["twin"]) == ("state", "plug-in")


@pytest.mark.parametrize("twins", ["drop", "mark", "keep"])
@pytest.mark.parametrize("resource", ["Volume", "Nic"])
def test_a_typed_subscriber_can_read_what_may_be_either(twins: str, resource: str):
    """Because a broker has delivered it again, or nobody says which it is, an event must not be dead-lettered."""
    body = {**STATE, "resource": resource}

    event = decoder(twins)(a_message(STATE_KEY.replace("Volume", resource), body, is_repeated=True))

    details = ResourceStateDetails.from_wire(event.details)
    assert (details.phase, details.transition_id) == (StatePhase.UNKNOWN, event.event_id)


def test_what_follows_one_that_has_come_again_is_its_second():
    """A bridge is killed between the two: the new one must not say of the second that it was the first."""
    decode = decoder("mark")

    again = decode(a_message(STATE_KEY, STATE, is_repeated=True))
    second = decode(a_message(STATE_KEY, STATE))

    assert second.details["phase"] == "post"
    assert second.details["transitionId"] == again.details["transitionId"]
    assert second.event_id != again.event_id, "a receiver that drops duplicates must see it"


def test_two_that_come_again_in_the_process_that_had_them_keep_their_ids_and_phases():
    """A lost connection: what was published and not acknowledged comes twice, with the id that it had."""
    decode = decoder("mark")
    before, after = ({**STATE, "eventDateTime": f"2026-03-04 17:59:{second} +0100"} for second in (24, 25))
    first, second = decode(a_message(STATE_KEY, before)), decode(a_message(STATE_KEY, after))

    again = [decode(a_message(STATE_KEY, body, is_repeated=True)) for body in (before, after)]

    assert [event.event_id for event in again] == [first.event_id, second.event_id]
    assert again[1].details == second.details
    assert again[0].details == {**first.details, "phase": "unknown"}


def test_a_second_of_another_second_has_one_id_whoever_reads_it():
    """A new bridge does not know that it is the second: with another id, nobody could drop the duplicate."""
    decode = decoder("mark")
    after = {**STATE, "eventDateTime": "2026-03-04 17:59:25 +0100"}
    decode(a_message(STATE_KEY, {**STATE, "eventDateTime": "2026-03-04 17:59:24 +0100"}))

    second = decode(a_message(STATE_KEY, after))

    assert second.details["twin"] == "state"
    assert second.event_id == decoder("mark")(a_message(STATE_KEY, after, is_repeated=True)).event_id


def test_the_plug_ins_second_action_is_dropped_and_its_only_one_is_not():
    """With `drop`, what has not been said by another message is never lost."""
    decode = decoder("drop")

    alone = decode(a_message(f"{ACTION_KEY}*", POOR))
    decode(a_message(f"{ACTION_KEY}u-1", RICH))

    assert alone.details["twin"] == "plug-in-alone"
    with pytest.raises(Discard):
        decode(a_message(f"{ACTION_KEY}*", POOR))


def test_what_a_publisher_of_ours_has_put_there_does_not_come_back():
    """Between a bridge and a publisher an event would go round for ever."""
    event = Event(event_category=EventCategory.ACTION, event_type="VM.START", event_source="s")
    message = cloudstack_message(event)

    with pytest.raises(Discard, match="bus like this one"):
        decoder()(message)
    assert decoder(takes_own=True)(message) == event


def test_what_cannot_be_read_is_refused():
    """It becomes a dead letter; dropped, nobody would learn of it."""
    with pytest.raises(UndecodableError):
        decoder()(a_message(STATE_KEY, "no json"))


def test_a_policy_that_there_is_not_is_refused():
    """A misspelt `drpo` must not keep everything in silence."""
    with pytest.raises(InvalidArgumentError, match="drop, mark or keep"):
        decoder("drpo")


def test_the_source_is_the_exchange_that_cloudstack_uses():
    """Its default name, and all that goes over it."""
    source = cloudstack_source()

    assert (source.exchange, tuple(source.binding_keys), source.exclusive) == ("cloudstack-events", ("#",), False)


@pytest.mark.parametrize(
    ("name", "model"),
    [("action", ActionDetails), ("usage", UsageDetails), ("alert", AlertDetails), ("state", ResourceStateDetails),
     ("job", AsyncJobDetails)],
)  # fmt: skip
def test_typed_subscribers_can_read_what_cloudstack_said(name: str, model: type[Details]):
    """A subscriber that asks for the details of our own sources gets those of CloudStack's events as well."""
    decode = decoder()

    for case in cases(name):
        event = decode(message_of(case))

        assert model.from_wire(event.details), case["name"]
