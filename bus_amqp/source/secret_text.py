"""Withhold ``name=value``, ``--name value`` and ``"name": "value"`` in text that is no JSON, or is JSON cut short.

Pure, and linear in the length of the text.  Where a value ends is not certain in such a text; more of it is
withheld then, never less.
"""

from __future__ import annotations

import re
from typing import Final

from bus_amqp.source.secret_names import SecretNames

REDACTED: Final = "[redacted]"

# Starts only where a name can start, and gives nothing back (`++`): a long text is not read again from each letter.
_NAME = r"(?<![\w.\-])(?P<name>[\w.\-]++(?:\[\w*\])*+(?:\x20[\w.\-]++){0,2}+)"
_PAIR = re.compile(_NAME + r"\\*[\"']?\s*(?:[:=]|\\+u003[ad])\s*")
_PAIR_AT_THE_END = re.compile(_PAIR.pattern + r"\Z")
_VALUE = re.compile(
    r"(?:(?i:bearer|basic|digest|token)\s+)?"  # Authorization: Bearer abc
    r"(?:(?P<quote>\\*[\"'])(?s:.*?)(?:(?<!\\)(?P=quote)|\Z)"  # with as many backslashes as it began with
    r"|[\[{](?s:.*)"  # an object or a list that could not be read: where it ends is anybody's guess
    r"|(?:[^\s&,;]|[,;](?!\s|\Z|[\w.\-]+[:=]))+)"
)
_LONGEST_BEGINNING = 200  # letters in front of a piece of JSON in which its name is looked for
_USER_INFO = re.compile(r"(?P<user>://[^/?#\s:@]*:)[^/?#\s]+@")  # to the last @: a password may hold one
# --password abc, and the same in a printed list: '--password', 'abc'
_OPTION = re.compile(r"(?<![\w\-])--?(?P<name>\w[\w.\-]*+)[\"']?,?\s++(?P<value>\"[^\"]*+\"|'[^']*+'|[^\s\-]\S*+)")
_PRIVATE_KEY = re.compile(r"-----BEGIN [A-Z ]*PRIVATE KEY-----(?s:.*?)(?:-----END [A-Z ]*PRIVATE KEY-----|\Z)")


def without_secrets(text: str, names: SecretNames) -> str:
    """Return the text with the values of secret names, passwords in urls and private keys withheld."""
    if "PRIVATE KEY" in text:
        text = _PRIVATE_KEY.sub(REDACTED, text)
    if "://" in text:
        text = _USER_INFO.sub(rf"\g<user>{REDACTED}@", text)
    if "-" in text:
        text = _OPTION.sub(lambda option: _without_value(option, names), text)

    told, position = [], 0
    while pair := _PAIR.search(text, position):
        told.append(text[position : pair.end()])
        position = pair.end()
        if names.has(pair["name"]) and (value := _VALUE.match(text, position)):
            quote = value["quote"] or ""
            told.append(f"{quote}{REDACTED}{quote}")
            position = value.end()
    return "".join([*told, text[position:]])


def _without_value(option: re.Match[str], names: SecretNames) -> str:
    if not names.has(option["name"]):
        return option[0]
    quote = option["value"][0] if option["value"][0] in "\"'" else ""
    return f"{option[0].removesuffix(option['value'])}{quote}{REDACTED}{quote}"


def ends_in_secret_name(text: str, names: SecretNames) -> bool:
    """Return whether the text ends in ``name=`` or ``name:`` of a secret, whose value comes next."""
    pair = _PAIR_AT_THE_END.search(text[-_LONGEST_BEGINNING:])
    return pair is not None and names.has(pair["name"])
