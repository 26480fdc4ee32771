import os
import subprocess
import sys
from pathlib import Path

import pytest
from pydantic import ValidationError

from bus_amqp.errors import SettingsError
from bus_amqp.sections import OUTBOX_OVERHEAD_BYTES, PublisherSettings
from bus_amqp.settings import (
    Settings,
    child_environment,
    load_settings,
    rabbitmq_image,
    require_url,
    url_with_password,
    without_password,
)


@pytest.fixture(autouse=True)
def no_variables_of_this_machine(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in [name for name in os.environ if name.upper().startswith("BUS_AMQP_")]:
        monkeypatch.delenv(name)


@pytest.fixture
def settings_file(tmp_path: Path) -> Path:
    file = tmp_path / "bus.toml"
    top = 'url = "amqp://from-file/"\nexchange = "file"\n'
    file.write_text(f"{top}[publisher]\noutbox_events = 7\noutbox_bytes = 7000000\n")
    return file


def test_defaults_need_nothing() -> None:
    """A program without any configuration gets the documented defaults."""
    assert load_settings() == Settings()


def test_arguments_go_before_environment_before_file_before_defaults(
    monkeypatch: pytest.MonkeyPatch, settings_file: Path
) -> None:
    """An operator could not override a file, nor a program its environment."""
    monkeypatch.setenv("BUS_AMQP_SETTINGS_FILE", str(settings_file))
    monkeypatch.setenv("BUS_AMQP_EXCHANGE", "environment")
    monkeypatch.setenv("BUS_AMQP_PUBLISHER__OUTBOX_EVENTS", "8")

    settings = load_settings(exchange="argument", publisher=PublisherSettings(publish_timeout_seconds=2))

    assert settings.exchange == "argument"
    assert settings.url == "amqp://from-file/"
    assert settings.publisher == PublisherSettings(publish_timeout_seconds=2, outbox_events=8, outbox_bytes=7_000_000)
    assert settings.consumer == Settings().consumer
    assert type(settings) is Settings


def test_a_file_may_be_an_argument(settings_file: Path) -> None:
    """A program with two buses needs two files."""
    assert load_settings(settings_file=settings_file, url=None).exchange == "file"


def test_an_empty_variable_is_an_absent_one(monkeypatch: pytest.MonkeyPatch) -> None:
    """Compose files pass variables on that nobody has set."""
    monkeypatch.setenv("BUS_AMQP_URL", "")
    monkeypatch.setenv("BUS_AMQP_SETTINGS_FILE", "")

    assert load_settings().url is None


def test_an_unknown_variable_is_refused_with_the_nearest_name(monkeypatch: pytest.MonkeyPatch) -> None:
    """A misspelt limit would silently limit nothing."""
    monkeypatch.setenv("BUS_AMQP_PUBLISHER__OUTBOX_EVENT", "5")

    with pytest.raises(SettingsError, match=r"BUS_AMQP_PUBLISHER__OUTBOX_EVENT: did you mean \w+OUTBOX_EVENTS\?"):
        load_settings()


def test_a_password_in_the_environment_is_shown_the_way_to_the_file(monkeypatch: pytest.MonkeyPatch) -> None:
    """The obvious guess must lead to the right name, without the secret in the message."""
    monkeypatch.setenv("BUS_AMQP_PASSWORD", "hunter2")

    with pytest.raises(SettingsError, match="BUS_AMQP_PASSWORD_FILE") as error:
        load_settings()
    assert "hunter2" not in str(error.value)


def test_an_unknown_key_of_the_file_is_refused_with_the_nearest_name(settings_file: Path) -> None:
    """The same, in a file."""
    settings_file.write_text("[publisher]\noutbox_event = 7\n")

    with pytest.raises(SettingsError, match=r"outbox_event in settings file .* mean publisher\.outbox_events"):
        load_settings(settings_file=settings_file)


def test_an_unknown_argument_is_refused() -> None:
    """The same, in a call."""
    with pytest.raises(SettingsError, match=r"argument exchnage: did you mean exchange\?"):
        load_settings(exchnage="x")


def test_a_bad_value_names_variable_and_value(monkeypatch: pytest.MonkeyPatch) -> None:
    """An operator must see which of a dozen variables to correct."""
    monkeypatch.setenv("BUS_AMQP_CONSUMER__PREFETCH", "many")

    with pytest.raises(SettingsError, match=r"BUS_AMQP_CONSUMER__PREFETCH = 'many': .*integer"):
        load_settings()


@pytest.mark.parametrize(
    ("text", "fault"),
    [
        ("[publ", r"bad\.toml"),
        (None, "No such file"),
        ("[publisher]\noutbox_events = 0", r"outbox_events in .* = 0: .*1$"),
    ],
)
def test_a_bad_file_is_named(tmp_path: Path, text: str | None, fault: str) -> None:
    """A file that cannot be used must not be skipped."""
    file = tmp_path / "bad.toml"
    if text is not None:
        file.write_text(text)

    with pytest.raises(SettingsError, match=fault):
        load_settings(settings_file=file)


def test_no_password_is_in_an_error_or_a_repr(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """P9: errors are logged and pasted into tickets."""
    file = tmp_path / "bus.toml"
    file.write_text('password = "hunter2"\n')
    monkeypatch.setenv("BUS_AMQP_URL", "amqp://bus:hunter2@broker/")

    with pytest.raises(SettingsError) as error:
        load_settings(settings_file=file)

    assert "hunter2" not in str(error.value)
    assert error.value.__cause__ is None
    assert error.value.__context__ is None
    assert "hunter2" not in repr(load_settings(password=lambda: "hunter2"))


def test_without_a_url_the_three_ways_are_named() -> None:
    """Never a silent guest@localhost."""
    with pytest.raises(SettingsError, match=r"argument.*BUS_AMQP_URL.*BUS_AMQP_SETTINGS_FILE"):
        require_url(Settings())
    assert require_url(Settings(url="memory://")) == "memory://"


@pytest.mark.parametrize(
    ("url", "shown"),
    [
        ("amqp://bus:s3cret@broker:5672/v", "amqp://bus:***@broker:5672/v"),
        ("amqp://bus:s3cret/s3cret@broker/", "amqp://bus:***@broker/"),
        ("amqp://bus:s3cret@s3cret@broker/", "amqp://bus:***@broker/"),
        ("amqp://bus:s3c://ret@broker/", "amqp://bus:***@broker/"),
        ("bus:s3cret@broker", "bus:***@broker"),
        ("amqp:/bus:s3cret@broker", "amqp:***@broker"),
        ("amqp://bus@broker/", "amqp://bus@broker/"),
        ("memory://", "memory://"),
        ("bus:s3cret@one,amqp://bus:s3cret@two", "bus:***@two"),
    ],
)
def test_a_url_is_shown_without_its_password(url: str, shown: str) -> None:
    """P9, also for the urls that are wrong: those are the ones that end up in messages."""
    assert without_password(url) == shown


def test_a_password_file_is_read_at_each_connect(tmp_path: Path) -> None:
    """A rotated password must take effect without a restart; signs that urls give a meaning to are quoted."""
    file = tmp_path / "password"
    settings = Settings(password_file=file)

    file.write_text("first\n")
    assert url_with_password("amqp://bus@broker/v", settings) == "amqp://bus:first@broker/v"
    file.write_text("p@ss/w:rd\n")
    assert url_with_password("amqp://bus:old@broker/v", settings) == "amqp://bus:p%40ss%2Fw%3Ard@broker/v"
    assert url_with_password("amqp://a:b@broker/", Settings()) == "amqp://a:b@broker/"
    assert url_with_password("amqp://a@b/", Settings(password=lambda: "called")) == "amqp://a:called@b/"


def test_a_password_without_user_or_file_is_an_error(tmp_path: Path) -> None:
    """Logging in as nobody, or with an empty password, would only fail later and less clearly."""
    with pytest.raises(SettingsError, match="names no user"):
        url_with_password("amqp://broker/", Settings(password=lambda: "x"))
    with pytest.raises(SettingsError, match="names no user"):
        url_with_password("amqp://broker/v@x", Settings(password=lambda: "x"))
    with pytest.raises(SettingsError, match="names no user") as caught:
        url_with_password("bus:s3cret@broker", Settings(password=lambda: "x"))
    assert "s3cret" not in str(caught.value)
    with pytest.raises(SettingsError, match="No such file"):
        url_with_password("amqp://bus@broker/", Settings(password_file=tmp_path / "gone"))


def test_a_child_process_gets_the_url_in_its_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    """Arguments are visible to every user of the machine."""
    monkeypatch.setenv("RABBITMQ_IMAGE", "rabbitmq:4")

    environment = child_environment(url="amqp://a:b@c/", exchange="x")

    assert environment["BUS_AMQP_URL"] == "amqp://a:b@c/"
    assert environment["BUS_AMQP_EXCHANGE"] == "x"
    assert environment["PATH"] == os.environ["PATH"]
    assert rabbitmq_image() == "rabbitmq:4"


def test_a_child_process_finds_the_files_that_its_parent_finds(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """The demo's parties run in a directory of their own: a relative path would point nowhere there."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("BUS_AMQP_SETTINGS_FILE", "conf/bus.toml")
    monkeypatch.setenv("bus_amqp_password_file", "password")
    monkeypatch.setenv("RABBITMQ_IMAGE", "image:4")

    environment = child_environment(url="amqp://a@b/")

    assert environment["BUS_AMQP_SETTINGS_FILE"] == str(tmp_path / "conf" / "bus.toml")
    assert environment["bus_amqp_password_file"] == str(tmp_path / "password")
    assert environment["RABBITMQ_IMAGE"] == "image:4"
    assert child_environment(password_file="other")["BUS_AMQP_PASSWORD_FILE"] == str(tmp_path / "other")
    assert child_environment(password_file="")["BUS_AMQP_PASSWORD_FILE"] == ""


def test_pydantic_settings_is_not_loaded_for_nothing() -> None:
    """It costs a tenth of a second, in every program that has no settings at all."""
    program = "import sys; from bus_amqp.settings import load_settings; load_settings(); print(sys.modules.keys())"

    ended = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)

    assert "'bus_amqp.settings'" in ended.stdout
    assert "pydantic_settings" not in ended.stdout


def test_an_outbox_must_have_room_for_the_largest_event(monkeypatch: pytest.MonkeyPatch) -> None:
    """An event within its own limit would be refused for ever by an outbox that can never hold it."""
    both = r"publisher.outbox_bytes = 4096.*publisher.max_event_bytes = 4096"
    needed = 4096 + OUTBOX_OVERHEAD_BYTES

    with pytest.raises(ValidationError, match=both):
        PublisherSettings(outbox_bytes=4096, max_event_bytes=4096)
    with pytest.raises(SettingsError, match=f"^{both}"):
        load_settings(publisher={"outbox_bytes": 4096, "max_event_bytes": 4096})
    monkeypatch.setenv("BUS_AMQP_PUBLISHER__MAX_EVENT_BYTES", "4096")
    monkeypatch.setenv("BUS_AMQP_PUBLISHER__OUTBOX_BYTES", "4096")
    with pytest.raises(SettingsError, match=f"^{both.split('.*')[0]}") as told:
        load_settings()
    assert str(needed) in str(told.value)

    monkeypatch.setenv("BUS_AMQP_PUBLISHER__OUTBOX_BYTES", str(needed))
    assert load_settings().publisher.outbox_bytes == needed
