"""Search longer than hypothesis may, led by coverage: ``make fuzz``, or ``make fuzz ARGS="frames body --seconds 600"``.

Each target runs in a process of its own, one after the other.  What is found stays in ``.fuzz/TARGET``: the corpus,
and a ``crash-`` file for each finding, which ``--again FILE`` runs once more, traceback and all.
"""

from __future__ import annotations

import argparse
import logging
import subprocess
import sys
from pathlib import Path

try:
    import atheris
except ImportError:
    sys.exit("atheris is not here: pip install 'bus-amqp[fuzz]' (Linux, CPython 3.11 to 3.13)")

# Only what is imported here is watched; the rest of the world would make it ten times slower to begin.
with atheris.instrument_imports(include=["bus_amqp", "amqp", "tests.fuzz.targets"]):
    from tests.fuzz.seeds import seeds
    from tests.fuzz.targets import TARGETS

FOLDER = Path(".fuzz")
_SLOW_SECONDS = 10  # one input that takes longer hangs
_MEMORY_MEGABYTES = 1024
_LONGEST_BYTES = 65_536


def main() -> int:
    """Run what the command line names; return 1 if anything was found."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("targets", nargs="*", help=f"of {', '.join(TARGETS)}; default: all")
    parser.add_argument("--seconds", type=int, default=60, help="for each target")
    parser.add_argument("--again", type=Path, metavar="FILE", help="run this input once more")
    parser.add_argument("--inside", action="store_true", help=argparse.SUPPRESS)
    wish = parser.parse_args()
    if unknown := set(wish.targets) - TARGETS.keys():
        parser.error(f"no target {', '.join(sorted(unknown))}: choose among {', '.join(TARGETS)}")
    if wish.inside:
        _search(wish.targets[0], wish.seconds)
    if wish.again:
        for name in wish.targets or TARGETS:
            TARGETS[name](wish.again.read_bytes())
        return 0
    found = [name for name in wish.targets or TARGETS if _run(name, wish.seconds)]
    for name in found:
        print(f"FOUND in {name}: see {FOLDER / name}/crash-* (or timeout-*, oom-*)")
    return 1 if found else 0


def _run(name: str, seconds: int) -> int:
    print(f"=== {name}: {TARGETS[name].__doc__}", flush=True)
    arguments = [name, "--seconds", str(seconds), "--inside"]
    return subprocess.run([sys.executable, "-m", "tests.fuzz.atheris_target", *arguments], check=False).returncode


def _search(name: str, seconds: int) -> None:
    logging.disable()  # a line for each foreign consumer tag would be all that there is to see
    corpus = FOLDER / name
    corpus.mkdir(parents=True, exist_ok=True)
    for number, seed in enumerate(seeds(name)):
        (corpus / f"seed-{number}").write_bytes(seed)
    options = {
        "max_total_time": seconds, "timeout": _SLOW_SECONDS, "rss_limit_mb": _MEMORY_MEGABYTES,
        "max_len": _LONGEST_BYTES, "artifact_prefix": f"{corpus}/", "print_final_stats": 1, "verbosity": 0,
    }  # fmt: skip
    atheris.Setup([name, str(corpus), *(f"-{option}={value}" for option, value in options.items())], TARGETS[name])
    atheris.Fuzz()  # ends the process


if __name__ == "__main__":
    sys.exit(main())
