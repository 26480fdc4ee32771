"""``TomlFile``: which line is at fault, whatever the spelling."""

from pathlib import Path

import pytest
from pydantic import BaseModel, ConfigDict, Field

from bus_amqp import SettingsError
from bus_amqp.extension.toml_file import Place, TomlFile, read_toml

TEXT = '''\
# a file
title = """
[[hook]]
url = "not this one"
"""

[[hook]]
name = "first"
"url" = "https://a.example/"

[[hook]]
  name = 'second'
  hosts = [
    "a",
    "b",
  ]
  retry.attempts = 3
[hook.network]
allow = []
'''


class Inner(BaseModel):
    model_config = ConfigDict(extra="forbid")

    attempts: int = Field(default=1, ge=1)


class Outer(BaseModel):
    model_config = ConfigDict(extra="forbid")

    url: str
    inner: Inner | None = None


def a_file(tmp_path: Path, text: str) -> TomlFile:
    path = tmp_path / "hooks.toml"
    path.write_text(text, encoding="utf-8")
    return read_toml(path)


@pytest.mark.parametrize(
    ("place", "line"),
    [
        ((), 1),
        (("title",), 2),
        (("hook",), 7),
        (("hook", 0, "name"), 8),
        (("hook", 0, "url"), 9),
        (("hook", 1), 11),
        (("hook", 1, "name"), 12),
        (("hook", 1, "hosts"), 13),
        (("hook", 1, "hosts", 1), 15),
        (("hook", 1, "retry", "attempts"), 17),
        (("hook", 1, "network"), 18),
        (("hook", 1, "network", "allow"), 19),
        (("hook", 0, "secret"), 7),
        (("hook", 2), 7),
        (("nothing",), 1),
    ],
)
def test_a_place_has_the_line_where_its_value_begins(tmp_path: Path, place: Place, line: int) -> None:
    """Who is sent to the wrong line looks for the fault where there is none."""
    assert a_file(tmp_path, TEXT).line_of(place) == line


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ('\nurl = "x"\nulr = "y"\n', "hooks.toml:3: unknown key ulr: did you mean url?"),
        ('url = "x"\ncolour = 1\n', "hooks.toml:2: unknown key colour; there are url, inner"),
        ('url = "x"\n[inner]\nattempts = 0\n', "hooks.toml:3: inner.attempts: Input should be greater than or equal"),
        ("# nothing\n\n[inner]\n", "hooks.toml:1: url is missing"),
        ('url = "x"\ninner = 3', "hooks.toml:2: inner: Input should be a valid dictionary"),
    ],
)
def test_what_does_not_fit_the_model_is_told_with_its_line(tmp_path: Path, text: str, told: str) -> None:
    """A misspelt key would be a setting that is not set."""
    file = a_file(tmp_path, text)

    with pytest.raises(SettingsError) as caught:
        file.checked(Outer, file.data)

    assert told in str(caught.value)


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("a = 1\nb = = 2\n", "hooks.toml:2: Invalid value"),
        ('a = 1\nb = "', "hooks.toml:2: "),
        ("\na = [\n", ":2: "),
        (f"a = 1\nb = {'9' * 5000}\nc = 3\n", "hooks.toml:2: a number of more than 4300 digits"),
        (f"a = 1\nb = [\n{'[' * 2000}{']' * 2000}]\n", "hooks.toml:3: lists or tables within each other, too deep"),
        (f"a = 1\n\nb = {'{x=' * 900}1{'}' * 900}\n", "hooks.toml:3: lists or tables within each other, too deep"),
    ],
)
def test_what_is_no_toml_is_told_with_its_line(tmp_path: Path, text: str, told: str) -> None:
    """The first thing that goes wrong with a file that was written by hand."""
    with pytest.raises(SettingsError) as caught:
        a_file(tmp_path, text)

    assert told in str(caught.value)


def test_a_file_that_is_not_there_is_named(tmp_path: Path) -> None:
    """A path from an argument is misspelt as easily as a key."""
    with pytest.raises(SettingsError, match=r"gone\.toml: No such file"):
        read_toml(tmp_path / "gone.toml")


def test_what_was_written_is_not_in_the_message(tmp_path: Path) -> None:
    """A file of definitions holds secrets; its faults end up in logs."""
    file = a_file(tmp_path, 'url = ["s3cret"]\n')

    with pytest.raises(SettingsError) as caught:
        file.checked(Outer, file.data)

    assert "s3cret" not in str(caught.value)
    assert caught.value.__cause__ is None


CONDITIONS = """\
when.all = [
  { field = "a", above = 1 },
  # what follows may be either
  { any = [
    { field = "b", below = 1 },
    { field = "c", below = 1 }, { fild = "d" },
  ] },
  [ [
    1,
  ] ],
]
"""


@pytest.mark.parametrize(
    ("place", "line"),
    [
        (("when", "all"), 1),
        (("when", "all", 0, "above"), 2),
        (("when", "all", 1), 4),
        (("when", "all", 1, "any", 0, "below"), 5),
        (("when", "all", 1, "any", 1), 6),
        (("when", "all", 1, "any", 2, "fild"), 6),
        (("when", "all", 2, 0, 0), 9),
    ],
)
def test_the_items_of_a_long_list_have_lines_of_their_own(tmp_path: Path, place: Place, line: int) -> None:
    """A list of conditions goes over twenty lines, and the fault is in one of them."""
    assert a_file(tmp_path, CONDITIONS).line_of(place) == line


@pytest.mark.parametrize(
    ("text", "line"),
    [
        ('# above\nbody = "one line"\n', 2),
        ('body = """first\nsecond"""\n', 2),
        ('body = """\nfirst\nsecond"""\n', 3),
        ("body = '''\nfirst\nsecond\n'''\n", 3),
        ('body = """first\nsecond\n"""\n', 2),
    ],
)
def test_a_line_of_a_long_text_is_counted_from_where_the_text_begins(tmp_path: Path, text: str, line: int) -> None:
    """Whether a text begins behind its opening marks or below them is a matter of taste, and of one line."""
    fault = a_file(tmp_path, text).fault_below("wrong", ("body",), 1 if "one line" in text else 2)

    assert str(fault).endswith(f":{line}: wrong")
