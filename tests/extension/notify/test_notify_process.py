"""`bus-amqp notify` as an operator starts it: a process, a real broker, a real mail server."""

import signal
from pathlib import Path

from bus_amqp.testing.broker import RealBroker
from tests.demo.processes import SECONDS, bus_amqp, read_until, started
from tests.extension.notify.mail_server import MailServer, text_of
from tests.promise.waiting import wait_until

RULES = """
[channel.mail]
url = "{url}"
pause_seconds = 0

[rule.starts]
topic = {{ event_category = "UsageEvent" }}
channels = ["mail"]
when = {{ field = "details.n", at_least = 2 }}
throttle = {{ messages = 1, window_seconds = 600 }}
"""


def test_notify_serves_until_a_signal(
    rabbitmq_4: RealBroker, exchange: str, mail_server: MailServer, tmp_path: Path
) -> None:
    """Under a service manager: it says when it is ready, ends with status 0, and tells what no message told."""
    (tmp_path / "rules.toml").write_text(RULES.format(url=mail_server.url()))
    with started("notify", "rules.toml", url=rabbitmq_4.url, exchange=exchange, cwd=tmp_path) as process:
        assert "(rules: 1, groups: 1)" in read_until(process, "notify: subscribed on RabbitMQ 4")
        for number in range(4):
            details = ["--details", f'{{"n": {number}}}']
            about = ["-c", "UsageEvent", "-t", "VM.START", "-s", "shell", *details]
            assert bus_amqp("publish", *about, url=rabbitmq_4.url, exchange=exchange).returncode == 0
        [mail] = mail_server.wait_for(1)
        read_until(process, "holding back messages to mail: at most 1 in 600 s")
        process.send_signal(signal.SIGTERM)
        _, err = process.communicate(timeout=SECONDS)

    assert process.returncode == 0
    assert "notify: 1 messages held back at the end: <Notifier of rule starts to mail" in err
    assert "Traceback" not in err
    assert text_of(mail).startswith("VM.START")


def test_a_module_of_two_lines_runs_the_rules(
    rabbitmq_4: RealBroker, exchange: str, mail_server: MailServer, tmp_path: Path
) -> None:
    """Beside subscribers of one's own, in one process of `bus-amqp run`."""
    (tmp_path / "rules.toml").write_text(RULES.format(url=mail_server.url()))
    (tmp_path / "mine.py").write_text(
        "from bus_amqp.extension.notify.subscribers import subscribers_from\n"
        "subscribers = subscribers_from('rules.toml')\n"
    )
    options = ["--ready-file", "ready"]
    with started("run", "mine:subscribers", *options, url=rabbitmq_4.url, exchange=exchange, cwd=tmp_path) as process:
        about = ["-c", "UsageEvent", "-t", "VM.START", "-s", "shell", "--details", '{"n": 2}']
        wait_until((tmp_path / "ready").exists, "the subscriptions")
        assert bus_amqp("publish", *about, url=rabbitmq_4.url, exchange=exchange).returncode == 0
        mail_server.wait_for(1)
        process.send_signal(signal.SIGTERM)
        assert process.wait(SECONDS) == 0


def test_a_wrong_rule_file_ends_run_with_its_line(exchange: str, tmp_path: Path) -> None:
    """Through the loader too: one line, with file and line."""
    (tmp_path / "rules.toml").write_text("[channel.mail]\nurl = 'mialto://a@b.org'\n[rule.a]\nchannels = ['mail']\n")
    (tmp_path / "mine.py").write_text(
        "from bus_amqp.extension.notify.subscribers import subscribers_from\n"
        "def subscribers(bus):\n    return subscribers_from('rules.toml')\n"
    )

    ended = bus_amqp("run", "mine:subscribers", url="memory://", exchange=exchange, cwd=tmp_path)

    assert ended.returncode == 2
    assert ended.stderr.splitlines()[-1].startswith("error: rules.toml:2: channel mail: Apprise has no service mialto")
