"""``bus_amqp.source.secret_names``: which names are those of secrets."""

import pytest

from bus_amqp.errors import InvalidArgumentError
from bus_amqp.source.secret_names import SECRET_NAMES, SecretNames, letters_of, secret_names


@pytest.mark.parametrize(
    "name",
    [
        "sessionKey", "session_key", "session-key", "SESSIONKEY", "Session Key", "session.key",
        "password", "userPassword", "passwordHash", "PASSWORD2", "vncpassword", "db.password.old",
        "apikey", "user_api_keys", "X-Api-Key", "secretkey", "clientSecret", "access_token", "db_pass", "csrfToken",
        "ipsecpsk", "ipsecPsk2", "pwds", "Set-Cookie", "signature", "privateKey", "codefor2fa", "userData",
        "ｐａｓｓｗｏｒｄ", "PAßWORD".replace("ß", "SS"),
    ],
)  # fmt: skip
def test_a_secret_is_known_however_its_name_is_written(name: str) -> None:
    """Each part of a control plane spells it in a way of its own; one that is not known goes out."""
    assert SecretNames().has(name)


@pytest.mark.parametrize("name", ["", "id", "hotplug", "command", "publicKey", "keypair", "hostname", "psksize"])
def test_other_names_are_left_alone(name: str) -> None:
    """A job of which everything is withheld tells nobody anything."""
    assert not SecretNames().has(name)


def test_the_list_is_open() -> None:
    """A plug-in has secrets of its own; what is added is added to ours."""
    names = secret_names(SECRET_NAMES | {"Licence Code"})

    assert names.has("licence_code")
    assert names.has("password")
    assert names is secret_names(SECRET_NAMES | {"Licence Code"})
    assert not SecretNames(()).has("password")


@pytest.mark.parametrize("names", ["password", b"password", ["password", ""], [" - "], [7]])
def test_a_list_that_is_none_is_refused(names: list[str]) -> None:
    """The letters of one text, or a name that every name contains, would withhold everything."""
    with pytest.raises(InvalidArgumentError, match="secret"):
        SecretNames(names)


def test_many_different_names_do_not_fill_the_memory() -> None:
    """What a caller sends decides the names; it must not decide how much of them we keep."""
    names = SecretNames()

    for number in range(5000):
        assert names.has(f"password{number}")
    assert names.has("x" * 1000 + "password")

    assert len(names.known) <= 4096
    assert max(map(len, names.known)) <= 64


def test_letters_are_compared_without_case_width_and_signs() -> None:
    """What is compared is what a reader takes for the same name."""
    assert letters_of("Ａpi-_. KEY") == "apikey"
