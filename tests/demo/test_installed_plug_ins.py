"""``bus-amqp run --installed`` and ``bus-amqp subscribers list``, as an operator types them after ``pip install``."""

import json
import os
import signal
from pathlib import Path

import pytest

from bus_amqp.testing.broker import RealBroker
from tests.demo.processes import SECONDS, bus_amqp, started
from tests.distributions import install_distribution
from tests.promise.waiting import wait_until

EVENT = ["-c", "UsageEvent", "-t", "VM.START", "-s", "shell"]
MODULE = """
from pathlib import Path

from bus_amqp import Event, EventTopic, Subscribers

subscribers = Subscribers()


@subscribers.on(EventTopic(event_category="UsageEvent"), group="{group}")
def note(event: Event) -> None:
    with Path("{group}.seen").open("a") as file:
        file.write(event.event_type)
"""


@pytest.fixture
def site(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Where pip installs for the processes of this test."""
    folder = tmp_path / "site"
    paths = [str(folder), *filter(None, [os.environ.get("PYTHONPATH")])]
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join(paths))
    for name in ("acme-billing", "acme-audit"):
        install_distribution(folder, name, {name: f"{name.replace('-', '_')}:subscribers"}, module=MODULE)
    return folder


def test_installed_plug_ins_are_listed_and_run_without_naming_them(
    rabbitmq_4: RealBroker, exchange: str, tmp_path: Path, site: Path
) -> None:
    """The design document's plug-in: whoever installs it is called back, and no code of ours knows of it."""
    listed = bus_amqp("subscribers", "list", "--json", cwd=tmp_path)
    names = {json.loads(line)["distribution"] for line in listed.stdout.splitlines()}
    assert names >= {"acme-billing", "acme-audit"}
    assert listed.returncode == 0, listed.stderr

    options = ["--installed", "--only", "acme-billing", "--only", "acme-audit", "--ready-file", "ready"]
    with started("run", *options, url=rabbitmq_4.url, exchange=exchange, cwd=tmp_path) as process:
        wait_until((tmp_path / "ready").exists, "both consume")
        assert bus_amqp("publish", *EVENT, url=rabbitmq_4.url, exchange=exchange).returncode == 0
        for name in ("acme-billing", "acme-audit"):
            wait_until((tmp_path / f"{name}.seen").exists, f"{name} has seen the event")
        process.send_signal(signal.SIGTERM)
        _, err = process.communicate(timeout=SECONDS)

    assert process.returncode == 0, err
    assert "serving 2 of 2 plug-ins: acme-audit (of acme-audit 1.0), acme-billing (of acme-billing 1.0)" in err


def test_a_broken_plug_in_is_named_or_skipped(
    rabbitmq_4: RealBroker, exchange: str, tmp_path: Path, site: Path
) -> None:
    """Refused by default, before an event is taken; with --skip-broken the rest works, and the log names the one."""
    install_distribution(site, "acme-broken", {"acme-broken": "acme_broken:subscribers"}, module="import acme_missing")
    fault = "acme-broken (of acme-broken 1.0)"

    listed = bus_amqp("subscribers", "list", cwd=tmp_path)
    refused = bus_amqp("run", "--installed", url=rabbitmq_4.url, exchange=exchange, cwd=tmp_path)

    assert listed.returncode == refused.returncode == 1
    told = f"error: plug-in {fault}: module acme_broken imports 'acme_missing', which is not there"
    assert told in listed.stderr
    assert refused.stderr.splitlines() == [told]

    options = ["--installed", "--skip-broken", "--ready-file", "ready"]
    with started("run", *options, url=rabbitmq_4.url, exchange=exchange, cwd=tmp_path) as process:
        wait_until((tmp_path / "ready").exists, "the others consume")
        process.send_signal(signal.SIGTERM)
        _, err = process.communicate(timeout=SECONDS)

    assert process.returncode == 0, err
    assert f"plug-in {fault} is skipped: " in err
