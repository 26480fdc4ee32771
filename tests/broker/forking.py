"""Programs that fork while they hold a bus: ``python -m tests.broker.forking NAME URL EXCHANGE``.

Each is a process of its own, because pytest's must not fork.  It prints one JSON value: what the test is to look at.
A child ends by ``os._exit``, with 0 only if it got to its end.
"""

import asyncio
import json
import multiprocessing
import os
import socket
import sys
import threading
import warnings
from functools import partial
from pathlib import Path

from bus_amqp import (
    EventBus,
    EventBusException,
    EventTopic,
    ForkedProcessError,
    OutboxFullError,
    connect,
    load_settings,
    receipt,
)
from bus_amqp.transport.memory import registry
from tests.broker.children import SECONDS, ended, fork
from tests.promise.subscribers import an_event
from tests.promise.waiting import wait_until

FORKS = 20
CHILD_EVENTS = 20


def publish_as(bus: EventBus, who: str) -> None:
    for number in range(CHILD_EVENTS):
        bus.publish(an_event(number, who))
    bus.flush(SECONDS)


def open_sockets() -> int:
    """How many sockets this process has."""
    links = [name.readlink() for name in Path("/proc/self/fd").iterdir() if name.is_symlink()]
    return sum(str(link).startswith("socket:") for link in links)


def full_rate(url: str, exchange: str) -> object:
    """Fork again and again while three threads publish and one subscription delivers."""
    # A small outbox: as fast as the broker takes them, and no long tail of work at the end.
    settings = load_settings(exchange=exchange, publisher={"outbox_events": 2000})
    bus = connect(url, settings=settings)
    seen: list[str] = []
    bus.subscribe(EventTopic(), lambda event: seen.append(event.resource_uuid))
    stop = threading.Event()
    published = [0, 0, 0]

    def publish(index: int) -> None:
        while not stop.is_set():
            try:
                bus.publish(an_event(published[index], f"parent-{index}"))
            except OutboxFullError:
                stop.wait(0.001)
            else:
                published[index] += 1

    def work(who: str) -> None:
        publish_as(bus, who)
        bus.close(SECONDS)  # else, with an outbox on disk, it is a crash: who adopts the file sends them again

    threads = [threading.Thread(target=publish, args=(index,), daemon=True) for index in range(3)]
    for thread in threads:
        thread.start()
    statuses = [ended(fork(partial(work, f"child-{number}"))) for number in range(FORKS)]
    stop.set()
    for thread in threads:
        thread.join()
    bus.flush(SECONDS)
    reconnects = bus.stats().reconnects
    total = sum(published) + FORKS * CHILD_EVENTS
    wait_until(lambda: len(seen) >= total, "all deliveries", SECONDS)
    bus.close()
    return {"published": published, "statuses": statuses, "reconnects": reconnects, "seen": len(seen)}


def locks_held(url: str, exchange: str) -> object:
    """Fork while another thread holds every lock that a publish, a receipt or a connect needs."""
    bus = connect(url, exchange=exchange)
    held = [
        bus._lock, bus._publishing._outbox._lock, bus._publishing._callbacks._lock, bus._publishing._starting,  # type: ignore[attr-defined]
        bus._subscriptions._lock, bus._control._lock, receipt._list_lock, registry._lock,  # type: ignore[attr-defined]
    ]  # fmt: skip
    inside, go_on = threading.Event(), threading.Event()

    def hold() -> None:
        for lock in held:
            lock.acquire()
        inside.set()
        go_on.wait(SECONDS)
        for lock in held:
            lock.release()

    holder = threading.Thread(target=hold)
    holder.start()
    inside.wait()

    def work() -> None:
        bus.publish(an_event(0, "child")).result(SECONDS)
        seen = threading.Event()
        bus.subscribe(EventTopic(), lambda event: seen.set())
        bus.publish(an_event(1, "child"))
        assert seen.wait(SECONDS)
        with connect("memory://") as other:
            other.publish(an_event(2, "child")).result(SECONDS)
        bus.close(SECONDS)

    status = ended(fork(work))
    go_on.set()
    holder.join()
    bus.publish(an_event(0, "parent")).result(SECONDS)
    bus.close()
    return status


def idle_child(url: str, exchange: str) -> object:
    """A child that does not use the bus has no connection and no socket, and ends without a word."""
    bus = connect(url, exchange=exchange)
    bus.subscribe(EventTopic(), lambda event: None)
    reader, writer = os.pipe()

    def work() -> None:
        told = {"sockets": open_sockets(), "threads": threading.active_count(), "state": str(bus.state)}
        bus.close(SECONDS)
        os.write(writer, json.dumps(told).encode())

    before = open_sockets()
    status = ended(fork(work))
    told = json.loads(os.read(reader, 10_000))
    bus.publish(an_event(0, "parent")).result(SECONDS)
    reconnects = bus.stats().reconnects
    bus.close()
    return {**told, "status": status, "reconnects": reconnects, "sockets_of_parent": before}


def receipts_of_parent(url: str, exchange: str) -> object:
    """What the child hears of an event that the parent has not sent yet."""
    with socket.create_server(("127.0.0.1", 0)) as nobody:  # it takes connections and says nothing
        place = f"amqp://guest:guest@127.0.0.1:{nobody.getsockname()[1]}/"
        bus = connect(place, exchange=exchange, require_broker=False)
        waiting = bus.publish(an_event(0, "parent"))
        called: list[object] = []
        waiting.add_done_callback(called.append)
        reader, writer = os.pipe()

        def work() -> None:
            told: list[str] = []
            try:
                waiting.result(SECONDS)
            except ForkedProcessError as exc:
                told.append(str(exc))
            here: list[object] = []
            waiting.add_done_callback(here.append)
            assert here == [waiting]
            assert called == []

            async def wait() -> None:
                await waiting

            try:
                asyncio.run(wait())
            except ForkedProcessError:
                told.append("awaited")
            assert bus.stats().waiting == 0
            os.write(writer, json.dumps(told).encode())

        status = ended(fork(work))
        state = str(waiting.state)
        try:
            bus.close(0)
        except EventBusException as exc:
            return {"status": status, "told": json.loads(os.read(reader, 10_000)), "state": state, "close": str(exc)}
    return "the parent's event was gone"


def memory(url: str, exchange: str) -> object:
    """A bus in memory cannot reach across processes: the child hears so, and may make one of its own."""
    bus = connect("memory://", exchange=exchange)
    reader, writer = os.pipe()

    def work() -> None:
        told = []
        for call in (
            lambda: bus.publish(an_event(0, "child")),
            lambda: bus.subscribe(EventTopic(), print),
            lambda: bus.flush(1),
        ):
            try:
                call()
            except ForkedProcessError as exc:
                told.append(str(exc))
        assert str(bus.state) == "closed"
        bus.close()
        with connect("memory://") as own:
            own.publish(an_event(0, "child")).result(SECONDS)
        os.write(writer, json.dumps(told).encode())

    status = ended(fork(work))
    bus.publish(an_event(0, "parent")).result(SECONDS)
    bus.close()
    return {"status": status, "told": json.loads(os.read(reader, 10_000))}


def directory_gone(url: str, exchange: str) -> object:
    """A child that cannot have an outbox of its own: a clear error, and nothing of the parent's is used instead."""
    directory = load_settings().publisher.outbox_directory
    assert directory is not None
    bus = connect(url, exchange=exchange)
    bus.publish(an_event(0, "parent")).result(SECONDS)
    kept = directory.rename(directory.with_name("kept"))
    directory.touch()  # no directory any more
    reader, writer = os.pipe()

    def work() -> None:
        try:
            bus.publish(an_event(0, "child"))
        except ForkedProcessError as exc:
            os.write(writer, json.dumps(str(exc)).encode())
        assert str(bus.state) == "closed"
        bus.close()

    status = ended(fork(work))
    directory.unlink()
    kept.rename(directory)
    bus.publish(an_event(1, "parent")).result(SECONDS)
    bus.close()
    return {"status": status, "told": json.loads(os.read(reader, 10_000))}


def pre_fork(url: str, exchange: str) -> object:
    """A server that connects and then forks its workers, which publish and end as Python programs do."""
    bus = connect(url, exchange=exchange)
    failed: list[object] = []
    bus.on_failed(failed.append)
    workers = []
    for number in range(3):
        pid = os.fork()
        if not pid:
            for event in range(CHILD_EVENTS):
                bus.publish(an_event(event, f"worker-{number}"))
            sys.exit(0)  # without close: the flush at exit is the worker's own
        workers.append(pid)
    statuses = [ended(pid) for pid in workers]
    accepted, reconnects = bus.stats().accepted, bus.stats().reconnects
    bus.close()
    return {"statuses": statuses, "accepted": accepted, "reconnects": reconnects}


def multiprocess(url: str, exchange: str) -> object:
    """``multiprocessing`` with its fork context: workers that publish, one that also subscribes."""
    bus = connect(url, exchange=exchange)
    context = multiprocessing.get_context("fork")

    def echo() -> None:
        seen = threading.Event()
        bus.subscribe(EventTopic(resource_uuid="worker-9"), lambda event: seen.set(), group="echo")
        publish_as(bus, "worker-9")
        assert seen.wait(SECONDS)
        assert bus.health(), bus.health()
        bus.close()

    processes = [context.Process(target=publish_as, args=(bus, f"worker-{number}")) for number in range(3)]
    processes.append(context.Process(target=echo))
    for process in processes:
        process.start()
    publish_as(bus, "parent")
    for process in processes:
        process.join(SECONDS)
    bus.close()
    return [process.exitcode for process in processes]


if __name__ == "__main__":
    warnings.simplefilter("ignore", DeprecationWarning)  # 3.12 warns of every fork with threads: that is what we test
    name, *arguments = sys.argv[1:]
    result = globals()[name](*arguments)
    print(json.dumps(result))  # pre-forked workers never come here
