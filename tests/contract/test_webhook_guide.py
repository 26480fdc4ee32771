"""``docs/guide/webhooks.md`` is true: its receiver runs, its vectors verify, its files load, no key is missing."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from bus_amqp.extension.webhook.definition import RETRY, Webhook
from bus_amqp.extension.webhook.errors import SignatureError
from bus_amqp.extension.webhook.file import load_definitions
from bus_amqp.extension.webhook.service import send_test
from bus_amqp.extension.webhook.signature import sign, verify
from bus_amqp.testing.free_port import free_port
from tests.promise.waiting import TIMEOUT_SECONDS, wait_until

GUIDE = (Path(__file__).parents[2] / "docs" / "guide" / "webhooks.md").read_text(encoding="utf-8")
SECRET = "a secret of the guide's test"


def blocks(language: str) -> list[str]:
    """The code of one language, block by block."""
    return re.findall(rf"```{language}\n(.*?)```", GUIDE, flags=re.DOTALL)


@contextmanager
def the_receiver(folder: Path) -> Iterator[tuple[int, subprocess.Popen[str]]]:
    """Start the guide's receiver as its reader would."""
    program, port = folder / "receiver.py", free_port()
    program.write_text(next(block for block in blocks("python") if block.startswith("# receiver.py")))
    environment = {**os.environ, "WEBHOOK_SECRET": SECRET, "PORT": str(port)}
    with subprocess.Popen([sys.executable, program], env=environment, stdout=-1, text=True) as process:
        try:
            yield port, process
        finally:
            process.kill()


def a_file(folder: Path, port: int, secret: str) -> Path:
    file = folder / "webhooks.toml"
    file.write_text(
        f'[network]\nallow = ["127.0.0.0/8"]\n[webhook.crm]\nurl = "http://127.0.0.1:{port}/"\n'
        f'allow_http = true\nsecret = ["a new secret, not known there", "{secret}"]\n'
    )
    return file


def test_the_receiver_of_the_guide_takes_what_is_signed_and_nothing_else(tmp_path: Path) -> None:
    """It is what people copy: what it lets pass, theirs will let pass."""
    with the_receiver(tmp_path) as (port, process):
        good = load_definitions(a_file(tmp_path, port, SECRET))
        wait_until(lambda: send_test(good, "crm").status == 204, "it takes a test")
        assert process.stdout is not None
        assert process.stdout.readline() == "WEBHOOK.TEST \n"

        bad = load_definitions(a_file(tmp_path, port, "another secret than that one"))

        assert send_test(bad, "crm").status == 401
        process.terminate()
        assert process.wait(TIMEOUT_SECONDS)
        assert process.stdout.read() == ""


VECTORS = re.findall(
    r"^\| `([^`]+)` \| `(\d+)` \| (?:`([^`]+)`|\(empty\)) \| `(v1=\w+)` \|$", GUIDE, flags=re.MULTILINE
)


@pytest.mark.parametrize(("secret", "timestamp", "body", "signature"), VECTORS)
def test_the_vectors_of_the_guide_are_ours(secret: str, timestamp: str, body: str, signature: str) -> None:
    """Who has built a receiver by them must be able to receive from us."""
    assert sign(body.encode(), secrets=[secret], timestamp_seconds=int(timestamp)) == signature
    verify(body.encode(), timestamp=timestamp, signature=signature, secrets=secret, now_seconds=int(timestamp))
    with pytest.raises(SignatureError):
        verify(b"!" + body.encode(), timestamp=timestamp, signature=signature, secrets=secret, now_seconds=1.7e9)


def test_there_are_vectors() -> None:
    """A table that is written otherwise must not turn the test above into one of nothing."""
    assert len(VECTORS) == 5


def test_the_files_of_the_guide_load(tmp_path: Path) -> None:
    """The first thing that a reader copies."""
    (tmp_path / "crm.secret").write_text("0123456789abcdef\n")
    file = tmp_path / "webhooks.toml"
    file.write_text("\n".join(blocks("toml")))

    definitions = load_definitions(file)

    assert [webhook.name for webhook in definitions.webhooks] == ["crm"]
    assert definitions.network.ports == (443, 8443)


def test_the_guide_names_every_key_of_a_webhook() -> None:
    """What is not in the table is not known to anybody, and what is must be there."""
    table = GUIDE.partition("| key | means | default |")[2].partition("\n\n")[0]
    named = {key for row in table.splitlines()[2:] for key in re.findall(r"`(\w+)`", row.split("|")[1])}

    assert named == Webhook.model_fields.keys() - {"name"}
    assert f"attempts = {RETRY.attempts}, delays_seconds = {list(map(int, RETRY.delays_seconds))}" in table
