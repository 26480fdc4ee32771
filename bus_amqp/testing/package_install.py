"""Install ``rabbitmq-server`` with apt, for who is root on Debian or Ubuntu, without letting it start a service."""

import contextlib
import os
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path

from bus_amqp.errors import TransportError
from bus_amqp.testing.command import run_command

_INSTALL = ["apt-get", "-o", "DPkg::Lock::Timeout=120", "install", "-y", "-q", "--no-install-recommends"]
_APT_SECONDS = 300.0
_NON_INTERACTIVE = {"DEBIAN_FRONTEND": "noninteractive"}
# Debian's hook: while this script answers 101, package scripts start nothing (invoke-rc.d(8)).
_POLICY = Path("/usr/sbin/policy-rc.d")
_POLICY_SAVED = Path("/usr/sbin/policy-rc.d.saved-by-bus-amqp")
_DENY_ALL = "#!/bin/sh\nexit 101\n"


def can_install() -> bool:
    """Whether this is Debian or a descendant, and we are root."""
    return os.geteuid() == 0 and Path("/etc/debian_version").exists() and shutil.which("apt-get") is not None


def install_rabbitmq_server(say: Callable[[str], None]) -> None:
    """Install the package; the caller has made sure that it may."""
    say("installing rabbitmq-server with apt-get (as root; it is not started as a service)")
    with _no_service_starts():
        try:
            run_command([*_INSTALL, "rabbitmq-server"], timeout_seconds=_APT_SECONDS, variables=_NON_INTERACTIVE)
        except TransportError:
            # No package lists yet, or lists so old that the files are gone: both end here, and one update mends both.
            run_command(["apt-get", "update", "-q"], timeout_seconds=_APT_SECONDS)
            run_command([*_INSTALL, "rabbitmq-server"], timeout_seconds=_APT_SECONDS, variables=_NON_INTERACTIVE)
    _keep_it_from_starting_at_boot()


@contextlib.contextmanager
def _no_service_starts() -> Iterator[None]:
    had_policy = _POLICY.exists()
    if had_policy:
        _POLICY.rename(_POLICY_SAVED)
    try:
        _POLICY.write_text(_DENY_ALL)
        _POLICY.chmod(0o755)
        yield
    finally:
        if had_policy:
            _POLICY_SAVED.replace(_POLICY)
        else:
            _POLICY.unlink(missing_ok=True)


def _keep_it_from_starting_at_boot() -> None:
    """The package enables its service; where systemd runs, the next boot would start a broker nobody asked for."""
    if Path("/run/systemd/system").exists():
        run_command(["systemctl", "disable", "--quiet", "rabbitmq-server.service"], timeout_seconds=60)
