"""``bus-amqp subscribers list``: what is shown of plug-ins, well and broken."""

import json
from collections.abc import Sequence

import pytest

from bus_amqp import EventTopic, ForeignSource, Subscribers
from bus_amqp.cli.main import main
from bus_amqp.process import plug_ins
from bus_amqp.process.plug_ins import Description, PlugIn

BILLING = PlugIn("billing", "acme_billing:subscribers", "acme-billing", "1.4")
WORKFLOW = PlugIn("workflow", "acme_flow:subscribers", "acme-flow", "0.1")
BROKEN = PlugIn("broken", "gone:subscribers", "acme-gone", "2.0")


def some_subscribers() -> Subscribers:
    subscribers = Subscribers()
    topics = [EventTopic(event_category="UsageEvent", event_type="VM.#"), EventTopic(resource_uuid="")]
    subscribers.on(topics, group="billing", ordered=True)(print)
    subscribers.on(EventTopic())(print)
    return subscribers


WHOLE = [Description(BILLING, declared=tuple(some_subscribers())), Description(WORKFLOW, needs_bus=True)]


def show(monkeypatch: pytest.MonkeyPatch, descriptions: Sequence[Description], *options: str) -> int:
    by_plug_in = {description.plug_in: description for description in descriptions}
    monkeypatch.setattr(plug_ins, "installed_plug_ins", lambda: tuple(by_plug_in))
    monkeypatch.setattr(plug_ins, "described", by_plug_in.__getitem__)
    return main(["subscribers", "list", *options])


def test_the_table_says_who_brings_what(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    """An operator sees in one look what `run --installed` would start, and for which events."""
    assert show(monkeypatch, WHOLE) == 0

    lines = [" ".join(line.split()) for line in capsys.readouterr().out.splitlines()]
    assert lines == [
        "name distribution reference group: topics",
        'billing acme-billing 1.4 acme_billing:subscribers billing (ordered): UsageEvent VM.# | ""',
        "temporary: everything",
        "workflow acme-flow 0.1 acme_flow:subscribers known when it is given a bus",
    ]


def test_json_has_all_of_it(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    """Scripts that check a deployment read this."""
    assert show(monkeypatch, WHOLE, "--json") == 0

    billing, workflow = (json.loads(line) for line in capsys.readouterr().out.splitlines())
    assert billing == {
        "name": "billing",
        "reference": "acme_billing:subscribers",
        "distribution": "acme-billing",
        "version": "1.4",
        "needs_bus": False,
        "fault": "",
        "subscriptions": [
            {
                "group": "billing",
                "ordered": True,
                "topics": [{"event_category": "UsageEvent", "event_type": "VM.#"}, {"resource_uuid": ""}],
            },
            {"group": None, "ordered": False, "topics": [{}]},
        ],
    }
    assert (workflow["needs_bus"], workflow["subscriptions"]) == (True, [])


def test_a_bridge_says_whose_exchange_it_listens_to(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """It has no topics, and is not shown as one that takes nothing, or everything."""
    subscribers = Subscribers()
    subscribers.on(ForeignSource("cloudstack-events", print), group="bridge")(print)  # type: ignore[arg-type]  # never called
    bridge = [Description(BILLING, declared=tuple(subscribers))]

    show(monkeypatch, bridge)
    assert "bridge: exchange cloudstack-events" in capsys.readouterr().out
    show(monkeypatch, bridge, "--json")
    [subscription] = json.loads(capsys.readouterr().out)["subscriptions"]
    assert (subscription["topics"], subscription["foreign_exchange"]) == ([], "cloudstack-events")


def test_a_broken_one_is_told_apart_and_in_the_status(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Asked before a deployment, the list must fail where `run --installed` would."""
    assert show(monkeypatch, [*WHOLE, Description(BROKEN, fault="there is no module 'gone'")]) == 1

    told = capsys.readouterr()
    assert "cannot be loaded: see below" in told.out
    assert told.err == "error: plug-in broken (of acme-gone 2.0): there is no module 'gone'\n"


def test_an_empty_list_says_how_plug_ins_announce_themselves(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """The first time that somebody asks, there are none: the answer names the entry-point group."""
    assert show(monkeypatch, []) == 0

    told = capsys.readouterr()
    assert told.out == ""
    assert "no plug-in is installed" in told.err
    assert "bus_amqp.subscribers" in told.err
