"""Distributions that announce plug-ins, as a user would have them installed; made on the spot, without a network."""

import subprocess
import sys
import zipfile
from collections.abc import Mapping
from pathlib import Path

from bus_amqp.process.plug_ins import ENTRY_POINTS

# What most tests announce: a list, and a function of the bus that opens and closes something.
MODULE = """
from contextlib import contextmanager

from bus_amqp import Event, EventTopic, Subscribers

steps = []
seen = []
subscribers = Subscribers()
subscribers.on(EventTopic(event_category="UsageEvent", event_type="VM.#"), group="{group}")(seen.append)
empty = Subscribers()


@contextmanager
def opened(bus):
    steps.append("opened")
    try:
        yield subscribers
    finally:
        steps.append(f"closed while the bus is {{bus.state}}")


def failing(bus):
    raise OSError("no database")
"""


def write_distribution(
    folder: Path, name: str, entry_points: Mapping[str, str], *, version: str = "1.0", module: str = MODULE
) -> str:
    """Write a distribution with one module, as an installer leaves it; return the module's name."""
    module_name = name.replace("-", "_")
    for file, text in _files(name, version, module_name, entry_points, module).items():
        (folder / file).parent.mkdir(parents=True, exist_ok=True)
        (folder / file).write_text(text)
    return module_name


def install_distribution(folder: Path, name: str, entry_points: Mapping[str, str], *, module: str) -> None:
    """Build a wheel of it beside the folder, and have pip install it there."""
    wheel = folder.parent / f"{name.replace('-', '_')}-1.0-py3-none-any.whl"
    with zipfile.ZipFile(wheel, "w") as archive:
        for file, text in _files(name, "1.0", name.replace("-", "_"), entry_points, module).items():
            archive.writestr(file, text)
    command = [sys.executable, "-m", "pip", "install", "--quiet", "--disable-pip-version-check"]
    only_this = ["--no-index", "--no-deps", "--target", str(folder), str(wheel)]
    subprocess.run([*command, *only_this], check=True, capture_output=True, text=True, timeout=120)


def _files(name: str, version: str, module_name: str, entry_points: Mapping[str, str], module: str) -> dict[str, str]:
    announced = "\n".join(f"{key} = {value}" for key, value in entry_points.items())
    information = f"{module_name}-{version}.dist-info"
    return {
        f"{module_name}.py": module.format(group=name),
        f"{information}/METADATA": f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n",
        f"{information}/WHEEL": "Wheel-Version: 1.0\nGenerator: tests\nRoot-Is-Purelib: true\nTag: py3-none-any\n",
        f"{information}/entry_points.txt": f"[{ENTRY_POINTS}]\n{announced}\n",
        f"{information}/RECORD": "",
    }
