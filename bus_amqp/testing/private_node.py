"""``PrivateNode``: the ``rabbitmq-server`` of this machine as a node of our own.

It runs as the current user, on free loopback ports, with its data, log, cookie and Erlang port mapper in a temporary
directory: nothing of the system's RabbitMQ is read or touched.  All that is needed to find it again is in that
directory, so that another process can end it.
"""

import secrets
import shutil
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Self

from pydantic import BaseModel, ConfigDict, ValidationError

from bus_amqp.errors import TransportError
from bus_amqp.testing.broker import ARGUMENTS_VARIABLE, BROKER_ARGUMENTS, RealBroker
from bus_amqp.testing.command import run_command, with_variables
from bus_amqp.testing.free_port import free_port, is_free
from bus_amqp.testing.greeting import wait_for_version
from bus_amqp.testing.owned_process import OwnedProcess

# The packages' wrappers in sbin change to the user rabbitmq; the program itself does not.
_PROGRAM_DIRECTORIES = ("/usr/lib/rabbitmq/bin", "/opt/homebrew/opt/rabbitmq/sbin", "/usr/local/opt/rabbitmq/sbin")
_START_SECONDS = 120.0  # 5 to 10 on an idle machine; several nodes at once on a busy one take their time
_END_SECONDS = 30.0
_POLL_SECONDS = 0.05
_LOG_LINES_TOLD = 12
_PLAN_FILE = "node.json"


class _NodePlan(BaseModel):
    """All that is needed to find a node again."""

    model_config = ConfigDict(frozen=True)

    directory: Path
    server: Path
    name: str
    amqp_port: int
    dist_port: int
    epmd_port: int
    owns_mapper: bool = True  # the Erlang port mapper; the nodes of a cluster share one
    version: str = ""


@dataclass(frozen=True, slots=True)
class ClusterPlace:
    """What a node shares with the others of its cluster."""

    name: str
    cookie: str
    epmd_port: int
    owns_mapper: bool


def find_rabbitmq_server() -> Path | None:
    """Return the ``rabbitmq-server`` of this machine, if it has one."""
    for directory in _PROGRAM_DIRECTORIES:
        program = Path(directory, "rabbitmq-server")
        if program.exists():
            return program
    found = shutil.which("rabbitmq-server")
    return Path(found) if found else None


class PrivateNode(RealBroker):
    """One node, started by its construction; ``stop`` leaves no process and no file.

    ``configuration``: more lines for ``rabbitmq.conf``.  With a ``place`` in a cluster it does not wait for the node
    to answer: each may be waiting for the others.
    """

    def __init__(
        self,
        *,
        amqp_port: int | None = None,
        configuration: Sequence[str] = (),
        plugins: Sequence[str] = (),
        place: ClusterPlace | None = None,
    ) -> None:
        server, mapper = find_rabbitmq_server(), shutil.which("epmd")
        if server is None or mapper is None:
            raise TransportError("there is no rabbitmq-server on this machine (or no epmd of its Erlang)")
        self._adopt(
            _NodePlan(
                directory=Path(tempfile.mkdtemp(prefix="bus-amqp-node-")),
                server=server,
                name=place.name if place else f"bus-{secrets.token_hex(4)}@localhost",
                amqp_port=amqp_port or free_port(),
                dist_port=free_port(),
                epmd_port=place.epmd_port if place else free_port(),
                owns_mapper=place.owns_mapper if place else True,
            )
        )
        try:
            self._write_files(place.cookie if place else secrets.token_hex(20), configuration, plugins)
            if self._plan.owns_mapper:
                # A mapper of our own, in the foreground: the one that Erlang starts by itself outlives every node.
                self._epmd.start(
                    with_variables([mapper, "-address", "127.0.0.1"], self._variables()), self.directory / "epmd.log"
                )
            if place is None:
                self.start()
            else:
                self.launch()
        except BaseException:  # Ctrl-C above all: nobody else would end it
            self.stop()
            raise

    @classmethod
    def reopen(cls, directory: Path) -> Self:
        """Return the node that another process started in that directory."""
        try:
            plan = _NodePlan.model_validate_json((directory / _PLAN_FILE).read_bytes())
        except (OSError, ValidationError) as exc:
            raise TransportError(f"there is no private node in {directory}") from exc
        node = cls.__new__(cls)
        node._adopt(plan)
        return node

    def _adopt(self, plan: _NodePlan) -> None:
        self._plan = plan
        self.directory = plan.directory
        self.url = f"amqp://guest:guest@127.0.0.1:{plan.amqp_port}/"
        self.version = plan.version
        self._epmd = OwnedProcess(plan.directory / "epmd.pid")
        self._node = OwnedProcess(plan.directory / "node.pid")

    @property
    def kind(self) -> str:
        """Version and place."""
        return f"RabbitMQ {self.version}, a private node on this machine"

    @property
    def name(self) -> str:
        """The node's Erlang name."""
        return self._plan.name

    @property
    def is_running(self) -> bool:
        """Whether its process is there."""
        return self._node.is_running

    def kill(self) -> None:
        """SIGKILL, for the node and all its helpers."""
        self._node.kill()
        self._wait_until_port_is_free()

    def start(self) -> None:
        """Start it on its old ports and data, and wait until it greets."""
        self.launch()
        self.wait_until_it_greets()

    def launch(self) -> None:
        """Start its process, and do not wait."""
        if not self._node.is_running:
            command = with_variables([str(self._plan.server)], self._variables())
            self._node.start(command, self.directory / "console.log")

    def wait_until_it_greets(self) -> None:
        """Wait until it answers, and learn its version."""
        self.version = wait_for_version(
            "127.0.0.1", self._plan.amqp_port, timeout_seconds=_START_SECONDS, must_go_on=self._raise_if_it_ended
        )
        plan = self._plan.model_copy(update={"version": self.version})
        (self.directory / _PLAN_FILE).write_text(plan.model_dump_json())

    def restart(self) -> None:
        """Shut down in good order, then start."""
        self.rabbitmqctl("stop")
        self._node.wait_until_ended(timeout_seconds=_END_SECONDS)
        self._wait_until_port_is_free()
        self.start()

    def stop(self) -> None:
        """Kill it (its data is thrown away, there is nothing to save) and remove its directory."""
        self._node.kill()
        self._epmd.kill()
        shutil.rmtree(self.directory, ignore_errors=True)

    def rabbitmqctl(self, *arguments: str, timeout_seconds: float = 60) -> str:
        """Run rabbitmqctl with this node's name and cookie; lists come without a headline."""
        program = self._plan.server.with_name("rabbitmqctl")
        return run_command(
            [str(program), "--silent", *arguments], timeout_seconds=timeout_seconds, variables=self._variables()
        )

    def _variables(self) -> dict[str, str]:
        inside = self.directory
        return {
            "HOME": str(inside),  # where Erlang looks for the cookie
            "ERL_EPMD_PORT": str(self._plan.epmd_port),
            "ERL_EPMD_ADDRESS": "127.0.0.1",
            "RABBITMQ_NODENAME": self._plan.name,
            "RABBITMQ_DIST_PORT": str(self._plan.dist_port),
            "RABBITMQ_MNESIA_BASE": str(inside / "mnesia"),
            "RABBITMQ_LOG_BASE": str(inside / "log"),
            "RABBITMQ_CONFIG_FILE": str(inside / "rabbitmq.conf"),
            "RABBITMQ_CONFIG_FILES": str(inside / "conf.d"),
            "RABBITMQ_ADVANCED_CONFIG_FILE": str(inside / "advanced.config"),
            "RABBITMQ_CONF_ENV_FILE": str(inside / "rabbitmq-env.conf"),
            "RABBITMQ_ENABLED_PLUGINS_FILE": str(inside / "enabled_plugins"),
            "RABBITMQ_PID_FILE": str(inside / "rabbit.pid"),
            ARGUMENTS_VARIABLE: f"-kernel inet_dist_use_interface {{127,0,0,1}} {BROKER_ARGUMENTS}",
        }

    def _wait_until_port_is_free(self) -> None:
        """The process we know is the shell around Erlang, which may need a moment longer to let go."""
        deadline = time.monotonic() + _END_SECONDS
        while not is_free(self._plan.amqp_port):
            if time.monotonic() >= deadline:
                raise TransportError(
                    f"port {self._plan.amqp_port} is still taken {_END_SECONDS:g} s after the node ended"
                )
            time.sleep(_POLL_SECONDS)

    def _write_files(self, secret: str, configuration: Sequence[str], plugins: Sequence[str]) -> None:
        inside = self.directory
        cookie = inside / ".erlang.cookie"
        cookie.write_text(secret)
        cookie.chmod(0o400)  # Erlang refuses a cookie that others can read
        (inside / "enabled_plugins").write_text(f"[{','.join(plugins)}].\n")
        (inside / "rabbitmq-env.conf").write_text("")
        lines = [f"listeners.tcp.1 = 127.0.0.1:{self._plan.amqp_port}", *configuration]
        (inside / "rabbitmq.conf").write_text("\n".join(lines) + "\n")

    def _raise_if_it_ended(self) -> None:
        if self._node.is_running:
            return
        said = (self.directory / "console.log").read_text(errors="replace").strip().splitlines()[-_LOG_LINES_TOLD:]
        raise TransportError("rabbitmq-server ended while it started:\n" + "\n".join(said))
