"""The knobs as a whole, and the one place that makes settings of the environment; the sections are in ``sections``.

Values come, in this order, from arguments, the environment (``BUS_AMQP_*``, ``__`` between section and field), a
TOML file and the defaults; they are read once, in ``load_settings``.  Durations are in seconds, sizes in bytes.
"""

from __future__ import annotations

import difflib
import os
import re
import tomllib
from collections.abc import Callable, Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any, get_args
from urllib.parse import quote

from pydantic import BaseModel, Field, ValidationError

from bus_amqp.environment import PREFIX, own_variables
from bus_amqp.errors import SettingsError
from bus_amqp.sections import ConnectionSettings, ConsumerSettings, PublisherSettings, Section

FILE_VARIABLE = "BUS_AMQP_SETTINGS_FILE"
_SCHEME = re.compile(r"[A-Za-z][A-Za-z0-9+.-]*")


class Settings(Section):
    """All sections, and what concerns more than one of them."""

    url: str | None = Field(
        default=None, description="amqp://user:password@host:port/vhost, amqps://, memory://", repr=False
    )
    password_file: Path | None = Field(
        default=None, description="A file that holds the url's password; read at each connect, so it may be rotated."
    )
    password: Callable[[], str] | None = Field(
        default=None, description="A function that returns the url's password; only as an argument.", repr=False
    )
    exchange: str = Field(default="bus.events", min_length=1, max_length=127)
    declare: bool = Field(default=True, description="False for users without configure rights.")
    connection: ConnectionSettings = ConnectionSettings()
    publisher: PublisherSettings = PublisherSettings()
    consumer: ConsumerSettings = ConsumerSettings()


def load_settings(*, settings_file: Path | str | None = None, **arguments: Any) -> Settings:
    """Return the settings of this process; an argument that is None counts as not given.

    A section may be given as a mapping of some of its fields.  Raises ``SettingsError`` naming the variable, key or
    argument at fault.
    """
    given = {name: _plain(value) for name, value in arguments.items() if value is not None}
    variables = own_variables()
    path = settings_file or variables.pop(FILE_VARIABLE, None)
    if not variables and path is None:
        return _validated(Settings, given, variables, None)
    _refuse_unknown(variables)
    in_file = {} if path is None else _read_file(Path(path))

    # pydantic-settings costs a tenth of a second: only who uses it pays.
    from pydantic_settings import BaseSettings, InitSettingsSource, PydanticBaseSettingsSource, SettingsConfigDict

    class Reader(Settings, BaseSettings):
        model_config = SettingsConfigDict(
            env_prefix=PREFIX, env_nested_delimiter="__", env_ignore_empty=True, extra="forbid", title="Settings"
        )

        @classmethod
        def settings_customise_sources(
            cls,
            settings_cls: type[BaseSettings],
            init_settings: PydanticBaseSettingsSource,
            env_settings: PydanticBaseSettingsSource,
            dotenv_settings: PydanticBaseSettingsSource,
            file_secret_settings: PydanticBaseSettingsSource,
        ) -> tuple[PydanticBaseSettingsSource, ...]:
            return init_settings, env_settings, InitSettingsSource(settings_cls, init_kwargs=in_file)

    loaded = _validated(Reader, given, variables, path)
    # The caller gets the plain class: no trace of where the values came from.
    return Settings.model_construct(
        _fields_set=loaded.model_fields_set, **{name: getattr(loaded, name) for name in Settings.model_fields}
    )


def with_exchange(settings: Settings, exchange: str | None = None) -> Settings:
    """Return the settings with another exchange (None: with their own), checked.  Raises ``SettingsError``."""
    given = {**dict(settings), **({} if exchange is None else {"exchange": exchange})}
    return _validated(Settings, given, {}, None)  # pydantic's own model_copy checks nothing


def require_url(settings: Settings) -> str:
    """Return the url.  Raises ``SettingsError`` that names the ways to give one: there is no silent default."""
    if settings.url:
        return settings.url
    raise SettingsError(
        "no broker url: pass one as an argument (amqp://user:password@host:5672/vhost, or memory://),"
        f" set {PREFIX}URL, or write `url = ...` into the file that {FILE_VARIABLE} names"
    )


def url_with_password(url: str, settings: Settings) -> str:
    """Return the url to log in with now.  Called at each connect, so that a rotated password takes effect."""
    if settings.password is None and settings.password_file is None:
        return url
    scheme, separator, rest = url.partition("://")
    authority, slash, virtual_host = rest.partition("/")
    user_info, at, place = authority.rpartition("@")
    user = user_info.partition(":")[0]
    if not (separator and at and user):
        raise SettingsError(
            f"url {without_password(url)!r} names no user for the password: write amqp://user@host/vhost"
        )
    return f"{scheme}://{user}:{quote(_current_password(settings), safe='')}@{place}{slash}{virtual_host}"


def without_password(url: str) -> str:
    """Return the url as it may be shown, also when it is malformed: all from the first ``:`` to the last ``@`` goes."""
    before, at, place = url.rpartition("@")
    if not at:
        return url
    scheme, separator, user_info = before.partition("://")
    if not _SCHEME.fullmatch(scheme):  # what stands before :// may hold a password: of a first url without a scheme
        scheme, separator, user_info = "", "", before
    user, colon, _ = user_info.partition(":")
    return f"{scheme}{separator}{user}{':***' if colon else ''}@{place}"


def rabbitmq_image() -> str | None:
    """Return the Docker image to take a broker from, if ``RABBITMQ_IMAGE`` names one."""
    return os.environ.get("RABBITMQ_IMAGE") or None


def child_environment(**values: str) -> dict[str, str]:
    """Return the environment of a process of ours: this one's, and settings such as ``url``.

    Never as arguments: those can be read by every user of the machine, and the url has a password.  Paths are made
    absolute: the process may be started in another directory.
    """
    environment = {**os.environ, **{f"{PREFIX}{name.upper()}": value for name, value in values.items()}}
    paths = {_variable_of(path) for path, annotation in _known_fields() if Path in get_args(annotation)}
    for name in environment:
        if environment[name] and name.upper() in paths | {FILE_VARIABLE}:
            environment[name] = str(Path(environment[name]).absolute())
    return environment


def _current_password(settings: Settings) -> str:
    if settings.password is not None:
        return settings.password()
    assert settings.password_file is not None  # the caller has looked
    try:
        return settings.password_file.read_text(encoding="utf-8").rstrip("\r\n")
    except (OSError, UnicodeDecodeError) as exc:
        raise SettingsError(f"password_file {settings.password_file}: {_why(exc)}") from exc


def _plain(value: Any) -> Any:
    # pydantic would take a model as it is: then the environment could not fill the fields that it leaves alone.
    return value.model_dump(exclude_unset=True) if isinstance(value, BaseModel) else value


def _known_fields(
    section: type[BaseModel] = Settings, path: tuple[str, ...] = ()
) -> Iterator[tuple[tuple[str, ...], object]]:
    """Yield the path and the annotation of each setting that can be given as text."""
    for name, field in section.model_fields.items():
        if isinstance(field.annotation, type) and issubclass(field.annotation, BaseModel):
            yield from _known_fields(field.annotation, (*path, name))
        elif name != "password":  # a function: no text can be one
            yield (*path, name), field.annotation


def _variable_of(path: Iterable[str]) -> str:
    return PREFIX + "__".join(path).upper()


def _refuse_unknown(variables: Mapping[str, str]) -> None:
    # pydantic-settings lets unknown variables pass, and a misspelt limit would limit nothing.
    known = {_variable_of(path) for path, _ in _known_fields()} | {FILE_VARIABLE}
    for name in sorted(variables.keys() - known):
        raise SettingsError(
            f"unknown variable {name}{_nearest(name, known)} Unset it, or use one of {', '.join(sorted(known))}"
        )


def _read_file(path: Path) -> dict[str, Any]:
    try:
        return tomllib.loads(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as exc:
        raise SettingsError(f"settings file {path}: {_why(exc)}") from exc


def _why(exc: Exception) -> str:
    return str(exc.strerror) if isinstance(exc, OSError) and exc.strerror else str(exc)


def _validated(
    model: type[Settings], given: Mapping[str, Any], variables: Mapping[str, str], path: Path | str | None
) -> Settings:
    try:
        return model(**given)
    except ValidationError as exc:
        # One fault is enough to act on, and `from None`: pydantic's own text shows the input, password and all.
        fault = exc.errors(include_url=False, include_context=False)[0]
    raise SettingsError(_told(fault["loc"], fault["type"], fault["msg"], fault["input"], given, variables, path))


def _told(
    place: tuple[int | str, ...], kind: str, message: str, value: object,
    given: Mapping[str, Any], variables: Mapping[str, str], path: Path | str | None,
) -> str:  # fmt: skip
    if kind == "value_error":  # of a whole section; the text names the fields
        return message.removeprefix("Value error, ")
    names = [str(part) for part in place]
    dotted = ".".join(names)
    variable = _variable_of(names)
    if _holds(given, names):
        where = f"argument {dotted}"
    elif variable in variables:
        where = variable
    else:
        where = f"{dotted} in settings file {path}"
    if kind == "extra_forbidden":
        return f"unknown setting: {where}{_nearest(dotted, {'.'.join(known) for known, _ in _known_fields()})}"
    return f"{where}{_shown(names, value)}: {message}"


def _holds(given: Mapping[str, Any], names: list[str]) -> bool:
    inside: object = given
    for name in names:
        if not isinstance(inside, Mapping) or name not in inside:
            return False
        inside = inside[name]
    return True


def _shown(names: list[str], value: object) -> str:
    if names[0] == "password" or not isinstance(value, str | int | float):
        return ""
    return f" = {without_password(value) if isinstance(value, str) else value!r}"


def _nearest(name: str, known: set[str]) -> str:
    near = difflib.get_close_matches(name, known, n=1, cutoff=0.5)
    return f": did you mean {near[0]}?" if near else "."
