"""``make sabotage``: break the bus on purpose, one line at a time; each break must turn its promise's test red.

A test that stays green over broken code promises nothing.  Works on copies in a temporary directory, on ``memory://``
alone.  Exit status 0: all tests are green on the code as it is, and each mutation turned its own test red.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import actions_and_alerts
import mutations
import reliability
import states_and_jobs
import webhooks
from mutation import Mutation

MUTATIONS = (
    *mutations.MUTATIONS, *reliability.MUTATIONS, *actions_and_alerts.MUTATIONS, *states_and_jobs.MUTATIONS,
    *webhooks.MUTATIONS,
)  # fmt: skip
ROOT = Path(__file__).resolve().parents[2]
COPIED = ("bus_amqp", "tests", "pyproject.toml")
WORKERS = 4  # copies tested side by side: most wait out a deadline that nothing meets any more
RED_SECONDS = 45.0  # a test that hangs is red as well
GREEN_SECONDS = 300.0
RED_PATIENCE, GREEN_PATIENCE = "4", "20"  # seconds that a test waits: what is to fail need not wait for long
PASSED, FAILED = 0, 1  # pytest's exit statuses; any other means that no test has spoken


class BrokenToolError(Exception):
    """A mutation or a test could not be tried: that says nothing about the code, and must not look as if it did."""


@dataclass(frozen=True)
class Outcome:
    """What a test said about one copy."""

    mutation: Mutation
    verdict: str
    seconds: float

    @property
    def is_red(self) -> bool:
        """Whether the test has noticed."""
        return self.verdict != "SURVIVED"

    def __str__(self) -> str:
        return f"{self.verdict:10} {self.seconds:5.1f} s  {self.mutation.name:58} {self.mutation.test.split('::')[1]}"


def main(arguments: Sequence[str]) -> int:
    """Try the mutations whose names contain one of the words given, or all.  ``--check``: only whether each applies."""
    is_check = "--check" in arguments
    arguments = [word for word in arguments if word != "--check"]
    chosen = [one for one in MUTATIONS if not arguments or any(word in one.name for word in arguments)]
    if not chosen:
        print(f"no mutation's name contains {' or '.join(arguments)}", file=sys.stderr)
        return 2
    with tempfile.TemporaryDirectory(prefix="bus-amqp-sabotage-") as directory:
        try:
            for mutation in chosen:
                _mutated(mutation)  # all before the first test: a line that was rewritten is known at once
            if is_check:
                return 0
            _require_green(Path(directory, "unbroken"), chosen)
            outcomes = _try_all(Path(directory), chosen)
        except BrokenToolError as exc:
            print(f"sabotage cannot tell: {exc}", file=sys.stderr)
            return 2
    survived = sum(not outcome.is_red for outcome in outcomes)
    print(f"{len(outcomes)} mutations, {len(outcomes) - survived} found, {survived} survived")
    return 1 if survived else 0


def _require_green(copy: Path, mutations: Sequence[Mutation]) -> None:
    """The same tests on the code as it is: red there, their red on a mutation would mean nothing."""
    _copy_project(copy)
    _require_own_package(copy)
    tests = sorted({mutation.test for mutation in mutations})
    started = time.monotonic()
    finished = _run_tests(copy, tests, GREEN_SECONDS, GREEN_PATIENCE)
    if finished is None or finished.returncode != PASSED:
        said = "they hang" if finished is None else finished.stdout + finished.stderr
        raise BrokenToolError(f"the tests are not green on the code as it is\n{said}")
    print(f"green      {time.monotonic() - started:5.1f} s  the code as it is, {len(tests)} tests", flush=True)


def _try_all(directory: Path, mutations: Sequence[Mutation]) -> list[Outcome]:
    outcomes = []
    with ThreadPoolExecutor(WORKERS) as workers:
        copies = [directory / f"mutation-{number}" for number in range(len(mutations))]
        for outcome in workers.map(_try, copies, mutations):
            print(outcome, flush=True)
            outcomes.append(outcome)
    return outcomes


def _try(copy: Path, mutation: Mutation) -> Outcome:
    _copy_project(copy)
    (copy / mutation.file).write_text(_mutated(mutation))
    started = time.monotonic()
    finished = _run_tests(copy, [mutation.test], RED_SECONDS, RED_PATIENCE)
    seconds = time.monotonic() - started
    shutil.rmtree(copy)
    if finished is None:
        return Outcome(mutation, "red (hung)", seconds)
    if finished.returncode not in (PASSED, FAILED):
        raise BrokenToolError(f"{mutation.name}: pytest ended with {finished.returncode}\n{finished.stdout}")
    return Outcome(mutation, "red" if finished.returncode == FAILED else "SURVIVED", seconds)


def _mutated(mutation: Mutation) -> str:
    """Return the file with its one line changed."""
    source = (ROOT / mutation.file).read_text()
    count = source.count(mutation.search)
    if count != 1:
        raise BrokenToolError(
            f"{mutation.name}: {mutation.file} has {mutation.search.strip()!r} {count} times, not once; "
            "the line was rewritten, so rewrite the mutation in tests/sabotage/mutations.py"
        )
    mutated = source.replace(mutation.search, mutation.replace)
    try:
        compile(mutated, mutation.file, "exec")
    except SyntaxError as exc:
        raise BrokenToolError(f"{mutation.name}: {mutation.file} is no Python any more: {exc}") from exc
    return mutated


def _copy_project(copy: Path) -> None:
    copy.mkdir()
    for name in COPIED:
        if (ROOT / name).is_dir():
            shutil.copytree(ROOT / name, copy / name)
        else:
            shutil.copy2(ROOT / name, copy / name)


def _require_own_package(copy: Path) -> None:
    """An installed bus_amqp must not be the one that is tested."""
    command = [sys.executable, "-c", "import bus_amqp; print(bus_amqp.__file__)"]
    where = subprocess.run(command, cwd=copy, env=_variables(copy), capture_output=True, text=True, check=False).stdout
    if not Path(where.strip()).is_relative_to(copy.resolve()):
        raise BrokenToolError(f"the tests would import {where.strip() or 'nothing'}, not the copy in {copy}")


def _run_tests(
    copy: Path, tests: Sequence[str], timeout_seconds: float, patience: str
) -> subprocess.CompletedProcess[str] | None:
    """Run pytest in a copy.  None: it did not end in time, and was killed with all that it had started."""
    command = [sys.executable, "-m", "pytest", "-x", "-q", "-p", "no:cacheprovider", *tests]
    process = subprocess.Popen(
        command,
        cwd=copy,
        env={**_variables(copy), "TEST_TIMEOUT_SECONDS": patience},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )
    try:
        out, err = process.communicate(timeout=timeout_seconds)
    except subprocess.TimeoutExpired:
        os.killpg(process.pid, 9)
        process.communicate()
        return None
    return subprocess.CompletedProcess(command, process.returncode, out, err)


def _variables(copy: Path) -> dict[str, str]:
    # Plug-ins of pytest that a single test has no use for take longer to load than pytest itself.
    lean = {"PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1"}
    return {**os.environ, **lean, "PYTHONPATH": str(copy)}


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
