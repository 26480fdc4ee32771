"""The picture: rate and CPU time of all clients, one panel for each discipline."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from benchmarks.plan import BUS, QUEUE_TYPES, TITLES
from benchmarks.results import Results

_COLOURS = {"classic": "#9aa5b1", "quorum": "#52606d"}
_BUS_COLOURS = {"classic": "#f0a35e", "quorum": "#d9631e"}
_BAR = 0.38


def write_chart(results: Results, path: Path) -> None:
    """Write a PNG.  Raises ``ImportError`` where matplotlib is not installed."""
    import matplotlib

    matplotlib.use("Agg")  # no display needed
    from matplotlib import pyplot

    figure, panels = pyplot.subplots(2, 2, figsize=(12, 7.5), layout="constrained")
    for row, mode in enumerate(("publish", "deliver")):
        verb = "published and confirmed" if mode == "publish" else "delivered and acknowledged"
        _draw(panels[row][0], results, mode, 0, f"{verb}: events/s", "{:,.0f}")
        _draw(panels[row][1], results, mode, 1, f"{verb}: client CPU, us each", "{:.0f}")
    handles = [pyplot.Rectangle((0, 0), 1, 1, color=_COLOURS[queue_type]) for queue_type in QUEUE_TYPES]
    labels = [f"{queue_type} queue" for queue_type in QUEUE_TYPES]
    figure.legend(handles, labels, loc="outside lower center", ncols=2, frameon=False)
    figure.suptitle(f"350-byte persistent events, one bound queue, {results.broker}; median of {results.plan.rounds}")
    path.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(path, dpi=110)
    pyplot.close(figure)


def _draw(panel: Any, results: Results, mode: str, which: int, title: str, label: str) -> None:
    peers = [peer for peer in results.plan.peers if any(results.median(mode, peer, kind) for kind in QUEUE_TYPES)]
    for shift, queue_type in enumerate(QUEUE_TYPES):
        values = [(results.median(mode, peer, queue_type) or (0.0, 0.0))[which] for peer in peers]
        colours = [(_BUS_COLOURS if peer == BUS else _COLOURS)[queue_type] for peer in peers]
        places = [place + (shift - 0.5) * _BAR for place in range(len(peers))]
        bars = panel.barh(places, values, _BAR, color=colours)
        panel.bar_label(bars, labels=[label.format(value) for value in values], padding=3, fontsize=8)
    panel.set_yticks(range(len(peers)), [TITLES[peer] for peer in peers])
    panel.invert_yaxis()
    panel.margins(x=0.15)
    panel.xaxis.set_major_formatter("{x:,.0f}")
    panel.locator_params(axis="x", nbins=6)
    panel.set_title(title, fontsize=10, loc="left")
    panel.spines[["top", "right"]].set_visible(False)
