"""``DockerBroker``: RabbitMQ in a container, through the ``docker`` command and Compose where there is one."""

import contextlib
import shutil
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Self

from bus_amqp.errors import TransportError
from bus_amqp.testing.broker import ARGUMENTS_VARIABLE, BROKER_ARGUMENTS, RealBroker
from bus_amqp.testing.command import run_command
from bus_amqp.testing.greeting import wait_for_version

DEFAULT_IMAGE = "rabbitmq:4-management"
_ASK_SECONDS = 15.0
_PULL_SECONDS = 300.0
_START_SECONDS = 120.0
_END_SECONDS = 30.0
_ARGUMENTS = f"--env={ARGUMENTS_VARIABLE}={BROKER_ARGUMENTS}"
_POLL_SECONDS = 0.1


def engine_answers() -> bool:
    """Whether a Docker engine answers the ``docker`` command of this machine."""
    if shutil.which("docker") is None:
        return False
    try:
        run_command(["docker", "version", "--format", "{{.Server.Version}}"], timeout_seconds=_ASK_SECONDS)
    except TransportError:
        return False
    return True


def make_sure_of_image(image: str, say: Callable[[str], None]) -> None:
    """Pull the image unless the engine has it; raise ``TransportError`` if it cannot be had."""
    try:
        run_command(["docker", "image", "inspect", "--format", "{{.Id}}", image], timeout_seconds=_ASK_SECONDS)
    except TransportError:
        say(f"pulling the image {image}")
        run_command(["docker", "pull", "--quiet", image], timeout_seconds=_PULL_SECONDS)


class DockerBroker(RealBroker):
    """A container that exists; ``remove`` is the command that ends it and forgets its data."""

    def __init__(self, container: str, *, amqp_port: int, remove: Sequence[str] = ()) -> None:
        self.container = container
        self.amqp_port = amqp_port
        self.remove = tuple(remove) or ("docker", "rm", "--force", "--volumes", container)
        self.url = f"amqp://guest:guest@127.0.0.1:{amqp_port}/"
        self.version = ""

    @classmethod
    def launch(cls, image: str, *, name: str, amqp_port: int, management_port: int, say: Callable[[str], None]) -> Self:
        """Start one under that name (Compose: the project's name) and wait until it greets."""
        broker = cls._launched_by_compose(image, name, amqp_port, management_port, say)
        if broker is None:
            broker = cls._launched_by_run(image, name, amqp_port, management_port)
        try:
            broker.wait_until_it_greets()
        except BaseException:  # Ctrl-C above all: nobody else would end it
            broker.stop()
            raise
        return broker

    @classmethod
    def _launched_by_compose(
        cls, image: str, name: str, amqp_port: int, management_port: int, say: Callable[[str], None]
    ) -> Self | None:
        file = compose_file()
        command = _compose_command()
        if file is None or command is None:
            return None
        compose = [*command, "--project-name", name, "--file", str(file)]
        variables = {
            "RABBITMQ_IMAGE": image,
            "RABBITMQ_AMQP_PORT": str(amqp_port),
            "RABBITMQ_MANAGEMENT_PORT": str(management_port),
        }
        remove = [*compose, "down", "--volumes", "--timeout", "1"]  # what it holds is thrown away anyway
        try:
            run_command([*compose, "up", "--detach", "rabbitmq"], timeout_seconds=_PULL_SECONDS, variables=variables)
            container = run_command([*compose, "ps", "--quiet", "rabbitmq"], timeout_seconds=_ASK_SECONDS).strip()
        except TransportError as exc:
            say(f"{' '.join(command)} could not start it, trying `docker run`: {exc}")
            with contextlib.suppress(TransportError):  # there may be nothing to remove
                run_command(remove, timeout_seconds=_END_SECONDS)
            return None
        return cls(container, amqp_port=amqp_port, remove=remove)

    @classmethod
    def _launched_by_run(cls, image: str, name: str, amqp_port: int, management_port: int) -> Self:
        ports = [f"--publish=127.0.0.1:{amqp_port}:5672", f"--publish=127.0.0.1:{management_port}:15672"]
        # The node's data lies under its host's name; with a fixed one it is found again.
        run = ["docker", "run", "--detach", f"--name={name}", "--hostname=rabbitmq", _ARGUMENTS, *ports, image]
        return cls(run_command(run, timeout_seconds=_PULL_SECONDS).strip(), amqp_port=amqp_port)

    @classmethod
    def launch_configured(
        cls,
        image: str,
        *,
        name: str,
        ports: Mapping[int, int],
        configuration: Sequence[str],
        plugins: Sequence[str] = (),
        files: Sequence[Path] = (),
    ) -> Self:
        """Start one with more lines for its ``rabbitmq.conf``, and wait until it greets.

        ``ports``: from the container's (5672 among them) to this machine's.  ``files`` are put into ``/etc/rabbitmq``.
        """
        published = [f"--publish=127.0.0.1:{here}:{inside}" for inside, here in ports.items()]
        create = ["docker", "create", f"--name={name}", "--hostname=rabbitmq", _ARGUMENTS, *published, image]
        container = run_command(create, timeout_seconds=_PULL_SECONDS).strip()
        broker = cls(container, amqp_port=ports[5672])
        try:
            with tempfile.TemporaryDirectory() as directory:
                written = {
                    "conf.d/90-bus-amqp.conf": "".join(f"{line}\n" for line in configuration),
                    "enabled_plugins": f"[{','.join(plugins)}].\n",
                }
                for place, text in written.items():
                    file = Path(directory, "file")
                    file.write_text(text)
                    broker._copy(file, place)
                for file in files:
                    broker._copy(file, file.name)
            broker.start()
        except BaseException:  # Ctrl-C above all: nobody else would end it
            broker.stop()
            raise
        return broker

    def _copy(self, file: Path, place: str) -> None:
        file.chmod(0o644)  # the broker reads it as another user
        run_command(
            ["docker", "cp", str(file), f"{self.container}:/etc/rabbitmq/{place}"], timeout_seconds=_ASK_SECONDS
        )

    @property
    def kind(self) -> str:
        """Version and place."""
        return f"RabbitMQ {self.version} in Docker"

    @property
    def is_running(self) -> bool:
        """Whether the container is there and runs."""
        inspect = ["docker", "inspect", "--format", "{{.State.Running}}", self.container]
        try:
            return run_command(inspect, timeout_seconds=_ASK_SECONDS).strip() == "true"
        except TransportError:
            return False

    def kill(self) -> None:
        """SIGKILL the container."""
        if self.is_running:
            run_command(["docker", "kill", self.container], timeout_seconds=_END_SECONDS)
            self._wait_until_ended()

    def start(self) -> None:
        """Start the same container again: same ports, same data."""
        run_command(["docker", "start", self.container], timeout_seconds=_ASK_SECONDS)
        self.wait_until_it_greets()

    def restart(self) -> None:
        """Shut the node down in good order, which ends the container, and start it again."""
        self.rabbitmqctl("stop")
        self._wait_until_ended()
        self.start()

    def stop(self) -> None:
        """Remove the container and its volume."""
        run_command(self.remove, timeout_seconds=_END_SECONDS)

    def rabbitmqctl(self, *arguments: str, timeout_seconds: float = 60) -> str:
        """Run rabbitmqctl inside; lists come without a headline."""
        command = ["docker", "exec", self.container, "rabbitmqctl", "--silent", *arguments]
        return run_command(command, timeout_seconds=timeout_seconds)

    def wait_until_it_greets(self) -> None:
        """Wait until the broker inside answers, and learn its version."""
        self.version = wait_for_version(
            "127.0.0.1", self.amqp_port, timeout_seconds=_START_SECONDS, must_go_on=self._raise_if_it_ended
        )

    def _raise_if_it_ended(self) -> None:
        if not self.is_running:
            raise TransportError(f"the container {self.container[:12]} ended while RabbitMQ started in it")

    def _wait_until_ended(self) -> None:
        deadline = time.monotonic() + _END_SECONDS
        while self.is_running:
            if time.monotonic() >= deadline:
                raise TransportError(f"the container {self.container[:12]} did not end within {_END_SECONDS:g} s")
            time.sleep(_POLL_SECONDS)


def compose_file() -> Path | None:
    """Return docker-compose.yml: beside this file in an installed wheel, at the top in a checkout."""
    here = Path(__file__).resolve()
    candidates = (here.with_name("docker-compose.yml"), here.parents[2] / "docker-compose.yml")
    return next((file for file in candidates if file.exists()), None)


def _compose_command() -> list[str] | None:
    for command in (["docker", "compose"], ["docker-compose"]):
        with contextlib.suppress(TransportError):
            run_command([*command, "version"], timeout_seconds=_ASK_SECONDS)
            return command
    return None
