"""P8, for programs that forget ``close`` or are told to end: each is an operating-system process of its own."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from bus_amqp import EventTopic
from bus_amqp.testing.free_port import free_port
from bus_amqp.testing.recorder import Recorder
from tests.promise.amqp_world import AmqpWorld

ROOT = Path(__file__).resolve().parents[2]
PROCESS_SECONDS = 40.0
BUSY_SECONDS = 0.5

PREAMBLE = """
import atexit, signal, sys, threading
from bus_amqp import Event, EventTopic, connect
from bus_amqp.transport.memory.registry import acquire_broker

def an_event(number):
    return Event(event_category="UsageEvent", event_type="VM.START", event_source="test",
                 resource_uuid="r-0", details={"number": number})
"""

FORGETS_TO_CLOSE = """
broker = acquire_broker("exit")
atexit.register(lambda: print("stored", sum(broker.depth(name) for name in broker.queue_names())))
bus = connect("memory://exit")
bus.subscribe(EventTopic(), print, group="billing", prefetch=1)
bus.unsubscribe(bus.health().subscriptions[0].subscription_id)
broker.block("until the program has ended")
for number in range(7):
    bus.publish(an_event(number))
later = threading.Timer(0.3, broker.unblock)
later.daemon = True  # else the interpreter would wait for it before it looks at the bus
later.start()
"""

FORGETS_TO_CLOSE_WITHOUT_BROKER = """
from bus_amqp.engine import lifetime
assert lifetime.EXIT_FLUSH_SECONDS == 5.0  # what users are told
lifetime.EXIT_FLUSH_SECONDS = 0.5  # what this test waits for
bus = connect(sys.argv[1], require_broker=False)
for number in range(7):
    bus.publish(an_event(number))
"""

PUBLISHES_AND_ENDS = """
bus = connect(sys.argv[1], exchange=sys.argv[2])
for number in range(500):
    bus.publish(an_event(number))
"""

CONSUMES_UNTIL_SIGNAL = """
bus = connect("memory://exit")
inside = threading.Event()

def on_event(event):
    inside.set()
    threading.Event().wait(0.5)
    print("handled", event.details["number"], flush=True)

def tell_when_ready():
    while signal.getsignal(signal.SIGTERM) is signal.SIG_DFL:
        threading.Event().wait(0.01)
    print("ready", flush=True)

bus.subscribe(EventTopic(), on_event)
bus.publish(an_event(0))
inside.wait()
threading.Thread(target=tell_when_ready).start()
bus.run_until_signal()
print("ended", bus.state, flush=True)
"""


def test_p8_a_program_that_forgets_close_flushes_at_exit() -> None:
    """Seven events wait for the broker when the script ends: they are sent before the process does."""
    with _process(FORGETS_TO_CLOSE) as process:
        out, err = process.communicate(timeout=PROCESS_SECONDS)

    assert process.returncode == 0
    assert out.split() == ["stored", "7"]
    assert "not sent" not in err


def test_p8_a_program_that_forgets_close_is_warned_with_the_number() -> None:
    """Without a broker the exit waits five seconds at most (here half of one), and then says what is lost."""
    started = time.monotonic()
    with _process(FORGETS_TO_CLOSE_WITHOUT_BROKER, f"amqp://guest:guest@127.0.0.1:{free_port()}/") as process:
        _, err = process.communicate(timeout=PROCESS_SECONDS)

    assert process.returncode == 0
    assert "7 events were not sent" in err
    assert "Traceback" not in err
    assert 0.5 <= time.monotonic() - started < 5 + 10  # and what a busy machine takes to start a process


IN_THE_BACKGROUND = "signal.signal(signal.SIGINT, signal.SIG_IGN)"

HANGS_IN_A_HANDLER = CONSUMES_UNTIL_SIGNAL.replace("wait(0.5)", "wait()")


@pytest.mark.parametrize("script", [HANGS_IN_A_HANDLER, IN_THE_BACKGROUND + HANGS_IN_A_HANDLER], ids=["fore", "back"])
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM], ids=["SIGINT", "SIGTERM"])
def test_p8_a_second_signal_ends_at_once(number: signal.Signals, script: str) -> None:
    """Whoever presses Ctrl-C twice does not want to wait for a handler that hangs, nor for its thirty seconds.

    A program that a script has started in the background was told to ignore SIGINT; it asked for it, and gets it.
    """
    with _process(script) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "ready\n"
        process.send_signal(number)
        with pytest.raises(subprocess.TimeoutExpired):
            process.wait(BUSY_SECONDS)
        started = time.monotonic()
        process.send_signal(number)
        process.communicate(timeout=PROCESS_SECONDS)

    assert process.returncode == -number
    assert time.monotonic() - started < 5, "not after the time that close takes"


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM], ids=["SIGINT", "SIGTERM"])
def test_p8_a_signal_ends_a_consumer_cleanly(number: signal.Signals) -> None:
    """The event in hand is finished, the bus closed, the exit status 0, and no traceback is left on the terminal."""
    with _process(CONSUMES_UNTIL_SIGNAL) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "ready\n"
        process.send_signal(number)
        out, err = process.communicate(timeout=PROCESS_SECONDS)

    assert (process.returncode, err) == (0, "")
    assert out.splitlines() == ["handled 0", "ended closed"]


def test_p8_a_program_that_forgets_close_loses_nothing_on_a_real_broker(amqp_world: AmqpWorld) -> None:
    """The shortest script: connect, publish, end."""
    recorder = Recorder()
    bus = amqp_world.connect()
    bus.subscribe(EventTopic(), recorder)

    with _process(PUBLISHES_AND_ENDS, amqp_world.rabbitmq.url, amqp_world.exchange) as process:
        _, err = process.communicate(timeout=PROCESS_SECONDS)

    assert (process.returncode, err) == (0, "")
    recorder.wait_for(500)


def _process(script: str, *arguments: str) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-c", PREAMBLE + script, *arguments],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        cwd=ROOT,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
    )
