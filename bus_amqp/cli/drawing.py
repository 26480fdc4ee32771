"""Pictures on the terminal and in files: the only file of the command line that has rich draw something."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Protocol

from rich.console import Console, RenderableType
from rich.live import Live

from bus_amqp.cli import output

_PLAIN_WIDTH = 100  # of a table that goes to a file or a pipe


class Display(Protocol):
    """Something on the screen that can be drawn anew."""

    def update(self, renderable: RenderableType, *, refresh: bool = False) -> None:
        """Draw this instead."""


def draw(renderable: RenderableType) -> None:
    """Draw something of rich's once."""
    Console(width=None if output.is_terminal() else _PLAIN_WIDTH).print(renderable)


@contextmanager
def live() -> Iterator[Display]:
    """Draw something of rich's again and again, in place."""
    with Live(auto_refresh=False, transient=True) as display:
        yield display


def save_svg(renderable: RenderableType, path: Path, title: str) -> None:
    """Draw something of rich's into an SVG file."""
    with Path(os.devnull).open("w") as nowhere:
        console = Console(record=True, width=_PLAIN_WIDTH, file=nowhere, force_terminal=True, color_system="truecolor")
        console.print(renderable)
        picture = console.export_svg(title=title, unique_id="table")
    # A picture that fetches its letters from the network shows none without it, and tells a stranger who looks at it.
    path.write_text(re.sub(r"@font-face \{.*?\}\s*", "", picture, flags=re.DOTALL), encoding="utf-8")
