"""A connection that is lost again and again: the process that holds it must not grow, and must not give up."""

from __future__ import annotations

import json
import subprocess
import sys

import pytest

from bus_amqp.testing.broker import RealBroker

RECONNECTS = 500
GROWTH_OBJECTS = 900  # one for each connection made in between; a connection left behind is hundreds
GROWTH_KB = 16 * 1024  # a connection left behind is a hundred; the width is the allocator's
DEADLINE_SECONDS = 300


@pytest.mark.slow
def test_five_hundred_reconnects_leave_nothing_behind(rabbitmq_3_10: RealBroker, exchange: str):
    """A flapping switch for a night: threads, sockets and memory stay as they were, and events still arrive."""
    command = [sys.executable, "-m", "tests.chaos.flapping", rabbitmq_3_10.url, exchange, str(RECONNECTS)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=DEADLINE_SECONDS)

    assert done.returncode == 0, done.stderr
    told = json.loads(done.stdout)
    before, after = told["before"], told["after"]
    assert told["reconnects"] >= 2 * RECONNECTS
    assert after["threads"] == before["threads"]
    assert after["descriptors"] <= before["descriptors"]
    assert after["objects"] - before["objects"] < GROWTH_OBJECTS, told["grown"]
    assert after["resident_kb"] - before["resident_kb"] < GROWTH_KB
