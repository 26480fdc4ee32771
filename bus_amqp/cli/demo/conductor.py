"""Conduct the demonstration: a broker, the scene, the picture, the summary."""

from __future__ import annotations

import math
import shutil
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from datetime import datetime
from itertools import islice
from pathlib import Path

from rich.console import Group, RenderableType

from bus_amqp.cli import drawing, output
from bus_amqp.cli.demo.cloud import START, Cloud
from bus_amqp.cli.demo.keyboard import Keyboard
from bus_amqp.cli.demo.parties import CONSUMERS, database_url, module_of
from bus_amqp.cli.demo.publisher import Load
from bus_amqp.cli.demo.scene import MemoryScene, ProcessScene, Scene
from bus_amqp.cli.demo.stage import stage
from bus_amqp.cli.demo.switch import BrokerSwitch
from bus_amqp.cli.demo.table import Situation, live_view, progress_line, summary
from bus_amqp.cli.demo.tally import Tally
from bus_amqp.cli.demo.truth import hours_used
from bus_amqp.engine.connect import connect
from bus_amqp.errors import EventBusException
from bus_amqp.settings import Settings, child_environment, rabbitmq_image
from bus_amqp.testing.real_broker import RealBroker, start_broker

_LOOK_SECONDS = 0.1
_DRAW_SECONDS = 0.25
_TELL_SECONDS = 5.0
_STUCK_SECONDS = 15.0  # nothing moves any more although the broker is up: what is missing now is lost
_PICTURE_AT, _PICTURE_LINES = 0.7, 40
_BACK_SECONDS = 3.0  # --kill-at: how long the broker stays dead


@dataclass(frozen=True, slots=True)
class Wish:
    """What the command line asked for."""

    load: Load
    screenshot: Path | None = None
    kill_at: float | None = None


@dataclass(slots=True)
class Conductor:
    """One run."""

    scene: Scene
    tally: Tally
    switch: BrokerSwitch
    broker: str
    wish: Wish
    begun: float = 0.0
    ended: float | None = None
    in_between: RenderableType = ""  # the live view as it was when most was done, for the picture in the README
    _moved_at: float = 0.0

    def run(self) -> None:
        """Begin the scene, watch it until all is delivered or nothing moves, end it."""
        output.say("starting the parties")
        self.scene.begin()
        self.begun = self._moved_at = time.monotonic()
        with Keyboard() as keyboard, self._picture(keyboard) as picture:
            while not self._is_over():
                self.scene.check()
                self._act(keyboard.wait(_LOOK_SECONDS))
                next(picture)
        self.ended = time.monotonic()
        self.switch.wait_until_settled()
        self.scene.end()
        self.tally.read(time.monotonic())  # what came while they ended

    def situation(self, notice: str = "") -> Situation:
        """Return what the picture needs besides the numbers."""
        return Situation((self.ended or time.monotonic()) - self.begun, self.wish.load.events, self.broker, notice)

    def _is_over(self) -> bool:
        is_publishing = self.scene.is_publishing  # asked first: what it writes last must be in what we read
        if self.tally.read(time.monotonic()) or self.switch.is_down:
            self._moved_at = time.monotonic()
        if time.monotonic() - self._moved_at > _STUCK_SECONDS:
            return True
        return not is_publishing and self.tally.is_complete

    def _act(self, key: str) -> None:
        share = self.tally.published / self.wish.load.events
        if self.wish.kill_at is not None and share >= self.wish.kill_at:
            self.wish = replace(self.wish, kill_at=None)
            self.switch.kill(_BACK_SECONDS)
        if not self.in_between and share >= _PICTURE_AT:
            self.in_between = live_view(self.tally, self.situation(), _PICTURE_LINES)
        if key == "K":
            self.switch.kill()
        if key == "R":
            self.switch.start()

    @contextmanager
    def _picture(self, keyboard: Keyboard) -> Iterator[Iterator[None]]:
        if not output.is_terminal():
            yield self._tell()
            return
        with drawing.live() as display:
            yield self._draw(display, keyboard)

    def _draw(self, display: drawing.Display, keyboard: Keyboard) -> Iterator[None]:
        drawn = 0.0
        while True:
            notice = self.switch.look()
            if time.monotonic() - drawn >= _DRAW_SECONDS:
                drawn = time.monotonic()
                situation = self.situation(notice if keyboard.is_there or self.switch.is_down else "")
                display.update(live_view(self.tally, situation, output.terminal_lines()), refresh=True)
            yield

    def _tell(self) -> Iterator[None]:
        told = self.begun
        while True:
            notice = self.switch.look() if self.switch.is_down else ""
            if time.monotonic() - told >= _TELL_SECONDS:
                told = time.monotonic()
                output.say(progress_line(self.tally, self.situation(notice)))
            yield


def run_demo(wish: Wish, settings: Settings) -> bool:
    """Run the demonstration; return whether every event reached every party that should have it."""
    for party in dict.fromkeys(CONSUMERS.values()):
        module_of(party)  # says what is missing, before a broker is started
    with _broker(settings) as broker, _directory() as directory:
        is_ours = broker is None or broker.can_restart or _is_memory(broker)
        with stage(settings, is_ours=is_ours) as exchange, _scene(broker, directory, wish.load, exchange) as scene:
            name = "memory, in one process" if broker is None else _name(broker, settings)
            output.say(f"broker: {name}")
            if not is_ours:
                output.say(f"exchange: {exchange}; to see the events: bus-amqp tail --exchange {exchange}")
            conductor = Conductor(scene, Tally(scene.ledgers()), BrokerSwitch(broker), name, wish)
            conductor.run()
        is_well = _conclude(conductor, directory)
        if not is_well:
            kept = shutil.copytree(directory, tempfile.mkdtemp(prefix="bus-amqp-demo-"), dirs_exist_ok=True)
            output.say(f"what the parties wrote down and said is in {kept}")
        return is_well


@contextmanager
def _directory() -> Iterator[Path]:
    with tempfile.TemporaryDirectory(prefix="bus-amqp-demo-") as directory:
        yield Path(directory)


@contextmanager
def _broker(settings: Settings) -> Iterator[RealBroker | None]:
    if settings.url is not None:
        connect(
            client_name="demo", settings=_only_looking(settings)
        ).close()  # says what is wrong, before five processes do
    try:
        broker = start_broker(url=settings.url, image=rabbitmq_image(), say=output.say)
    except EventBusException as exc:
        output.say(f"{exc}\ngoing on with memory://, in this one process: it shows the bus, not a broker")
        yield None
        return
    with broker:
        yield broker


def _is_memory(broker: RealBroker) -> bool:
    return broker.url.startswith("memory://")


def _scene(broker: RealBroker | None, directory: Path, load: Load, exchange: str) -> Scene:
    if broker is None or _is_memory(broker):  # memory is not shared by processes
        return MemoryScene(directory, load)
    return ProcessScene(directory, load, child_environment(url=broker.url, exchange=exchange))


def _name(broker: RealBroker, settings: Settings) -> str:
    """Return what the broker is; of a cluster, the node that answers."""
    if broker.can_restart:
        return broker.kind
    with connect(client_name="demo", settings=_only_looking(settings)) as bus:
        return bus.health().broker


def _only_looking(settings: Settings) -> Settings:
    return settings.model_copy(update={"declare": False})  # a look must leave no exchange behind


def _billed_hours(directory: Path, until: datetime) -> float:
    books = module_of("billing").Books(database_url(directory))
    try:
        return math.fsum(charge.hours for charge in books.charges(START, until))
    finally:
        books.close()


def _conclude(conductor: Conductor, directory: Path) -> bool:
    tally, wish = conductor.tally, conductor.wish
    cloud = Cloud(wish.load.seed)
    history = list(islice(cloud.events(), tally.published))
    true_hours = hours_used(history, until=cloud.now)
    billed_hours = _billed_hours(directory, until=cloud.now)
    end = summary(tally, conductor.situation(), billed_hours, true_hours)
    drawing.draw(end)
    if wish.screenshot is not None:
        drawing.save_svg(Group(conductor.in_between, "", end), wish.screenshot, "bus-amqp demo")
        output.say(f"written: {wish.screenshot}")
    is_charged = math.isclose(billed_hours, true_hours, abs_tol=0.01)
    return is_charged and tally.is_complete and tally.confirmed == tally.published
