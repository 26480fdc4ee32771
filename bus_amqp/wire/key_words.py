"""The words of a routing key: one for each field, reversibly encoded, so that different fields never meet in one key.

Pure, and imports nothing: the command's shortcut makes keys with it before pydantic could be loaded.
"""

MAX_KEY_BYTES = 255  # an AMQP short string
ABSENT = "_"


def type_word(value: str) -> str:
    """Return ``event_type`` as one word: ``VM.START`` becomes ``VM-START``, as people who bind by hand know it."""
    word = _quoted(value, "%*#").replace("-", "%2D").replace(".", "-")
    return "%5F" if word == ABSENT else word


def plain_word(value: str) -> str:
    """Return one of the other four fields as one word."""
    if value in ("", ABSENT):
        return "%5F" if value else ABSENT
    return value if value.replace("-", "").isalnum() else _quoted(value, "%*#.")  # a uuid: nothing to encode


def _quoted(value: str, special: str) -> str:
    return "".join(_percent(sign) if sign in special or sign.isspace() else sign for sign in value)


def _percent(sign: str) -> str:
    return "".join(f"%{byte:02X}" for byte in sign.encode())
