"""``PrivatePostgreSQL``: a database cluster of one test run, on a loopback port, in a temporary directory.

Out of the package ``postgresql`` of Debian and Ubuntu.  PostgreSQL refuses to run as root, so root lends it to the user
that the package has made.
"""

import os
import pwd
import secrets
import shutil
import signal
import subprocess
import tempfile
import time
from pathlib import Path
from typing import Any

import psycopg

from bus_amqp.errors import TransportError
from bus_amqp.testing.free_port import free_port

_PACKAGED = "/usr/lib/postgresql"
_USER = "postgres"
_START_SECONDS, _END_SECONDS = 60.0, 20.0
_POLL_SECONDS = 0.05


def find_programs() -> Path | None:
    """Return the folder of initdb and postgres, the newest first."""
    packaged = sorted(Path(_PACKAGED).glob("*/bin/initdb"), key=lambda file: int(file.parts[-3]), reverse=True)
    found = [*packaged, *filter(None, [shutil.which("initdb")])]
    return Path(found[0]).parent if found else None


class PrivatePostgreSQL:
    """One cluster, started by its construction; ``stop`` leaves no process and no file."""

    def __init__(self) -> None:
        programs = find_programs()
        if programs is None:
            raise TransportError("no PostgreSQL on this machine; on Debian and Ubuntu: apt-get install postgresql")
        self._programs = programs
        self._directory = Path(tempfile.mkdtemp(prefix="bus-amqp-postgresql-"))
        self._process: subprocess.Popen[bytes] | None = None
        self._port = free_port()
        self._password = secrets.token_hex(16)
        try:
            self._make()
            self._process = self._start()
            self.kind = f"PostgreSQL {self._wait_until_it_answers()}, a private cluster on this machine"
        except BaseException:  # Ctrl-C above all: nobody else would end it
            self.stop()
            raise

    def __repr__(self) -> str:
        return f"<PrivatePostgreSQL on port {self._port}>"

    def url(self, database: str = _USER) -> str:
        """Return where SQLAlchemy finds a database of it."""
        return f"postgresql+psycopg://{_USER}:{self._password}@127.0.0.1:{self._port}/{database}"

    def new_database(self) -> str:
        """Make an empty database, and return its url."""
        name = f"test_{secrets.token_hex(6)}"
        with self._connect() as connection:
            connection.execute(f"CREATE DATABASE {name}")
        return self.url(name)

    def stop(self) -> None:
        """End it (its data is thrown away, there is nothing to save) and remove its directory."""
        if self._process is not None and self._process.poll() is None:
            self._process.send_signal(signal.SIGQUIT)  # at once, with all its helpers
            try:
                self._process.wait(_END_SECONDS)
            except subprocess.TimeoutExpired:
                os.killpg(self._process.pid, signal.SIGKILL)
                self._process.wait()
        shutil.rmtree(self._directory, ignore_errors=True)

    def _make(self) -> None:
        password = self._directory / "password"
        password.write_text(self._password)
        if os.geteuid() == 0:
            for path in (self._directory, password):
                shutil.chown(path, _USER)
        command = [
            self._programs / "initdb", "-D", self._directory / "cluster", "-U", _USER, f"--pwfile={password}",
            "--auth=scram-sha-256", "--encoding=UTF8", "--locale=C", "--no-sync",
        ]  # fmt: skip
        ended = subprocess.run(command, capture_output=True, text=True, check=False, **self._as_its_user())
        if ended.returncode:
            raise TransportError(f"initdb: {ended.stderr.strip()}")

    def _start(self) -> subprocess.Popen[bytes]:
        command = [
            self._programs / "postgres", "-D", self._directory / "cluster", "-p", str(self._port),
            "-c", "listen_addresses=127.0.0.1", "-c", "unix_socket_directories=", "-c", "fsync=off",
        ]  # fmt: skip
        with (self._directory / "log").open("wb") as log:
            return subprocess.Popen(
                command, stdin=subprocess.DEVNULL, stdout=log, stderr=log, start_new_session=True, **self._as_its_user()
            )

    def _as_its_user(self) -> dict[str, Any]:
        if os.geteuid() != 0:
            return {"cwd": self._directory}
        try:
            user = pwd.getpwnam(_USER)
        except KeyError:
            raise TransportError(f"PostgreSQL does not run as root, and there is no user {_USER}") from None
        return {"cwd": self._directory, "user": user.pw_uid, "group": user.pw_gid, "extra_groups": []}

    def _connect(self) -> psycopg.Connection:
        return psycopg.connect(
            host="127.0.0.1", port=self._port, user=_USER, password=self._password, dbname=_USER, autocommit=True
        )

    def _wait_until_it_answers(self) -> str:
        assert self._process is not None
        deadline = time.monotonic() + _START_SECONDS
        while True:
            try:
                with self._connect() as connection:
                    return connection.info.parameter_status("server_version") or "?"
            except psycopg.OperationalError as exc:
                if self._process.poll() is not None or time.monotonic() >= deadline:
                    said = (self._directory / "log").read_text(errors="replace").strip()
                    raise TransportError(f"PostgreSQL does not answer: {said or exc}") from exc
            time.sleep(_POLL_SECONDS)
