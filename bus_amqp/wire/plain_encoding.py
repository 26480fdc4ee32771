"""The message of an event made of plain strings, without the model: what ``codec`` makes, or nothing at all.

For a process that lives for one event and has no time to import pydantic.  It takes what is certainly right and leaves
everything else to ``Event`` and ``encode``, which know what is wrong with it; a test holds it to them, byte for byte.
"""

import time
from _json import encode_basestring, make_scanner

from bus_amqp.wire.key_words import MAX_KEY_BYTES, plain_word, type_word

MAX_BODY_BYTES = 256 * 1024  # far below the default of max_event_bytes
_MAX_WORD = 63  # signs of what also travels as an AMQP short string: with four bytes each they fit
_MAX_DEPTH = 32
_REQUIRED = ("event_category", "event_type", "event_source")


def encoded(given: dict[str, str], *, now_ns: int, random: bytes) -> tuple[str, bytes, str, int, str, str] | None:
    """Return routing key, body, message id, timestamp, type and application id; None: better ask the model.

    ``given``: the fields of an ``Event``, ``details`` as JSON.  ``random``: ten bytes, for the id.
    """
    if not all(given.get(name) for name in _REQUIRED):
        return None
    category, kind, source = (given[name] for name in _REQUIRED)
    if len(kind) > _MAX_WORD or len(source) > _MAX_WORD:
        return None
    resource_type, resource_uuid = given.get("resource_type", ""), given.get("resource_uuid", "")
    try:
        event_id, event_time = _id_from(now_ns, random), _time_from(now_ns)
        body = (
            f'{{"eventCategory":{encode_basestring(category)},"eventType":{encode_basestring(kind)},'
            f'"eventSource":{encode_basestring(source)},"resourceType":{encode_basestring(resource_type)},'
            f'"resourceUUID":{encode_basestring(resource_uuid)},'
            f'"description":{encode_basestring(given.get("description", ""))},'
            f'"eventId":"{event_id}","eventTime":"{event_time}","details":{_details(given.get("details", "{}"))}}}'
        ).encode()
        key = ".".join((
            plain_word(category), type_word(kind), plain_word(resource_type), plain_word(resource_uuid),
            plain_word(source),
        ))  # fmt: skip
        if len(body) > MAX_BODY_BYTES or len(key.encode()) > MAX_KEY_BYTES:
            return None
    # No JSON, or half a surrogate pair.  SystemError: the scanner looks for json's own error, which is not loaded.
    except (ValueError, RecursionError, StopIteration, SystemError):
        return None
    return key, body, event_id, now_ns // 1_000_000_000, kind, source


def _id_from(now_ns: int, random: bytes) -> str:
    """Return a UUIDv7 (RFC 9562) as text, as ``Event`` has it: milliseconds, then 74 random bits."""
    bits = int.from_bytes(random) >> 6
    value = (now_ns // 1_000_000 << 80) | (7 << 76) | (bits >> 62 << 64) | (2 << 62) | (bits & (1 << 62) - 1)
    digits = f"{value:032x}"
    return f"{digits[:8]}-{digits[8:12]}-{digits[12:16]}-{digits[16:20]}-{digits[20:]}"


def _time_from(now_ns: int) -> str:
    seconds, fraction = divmod(now_ns // 1_000, 1_000_000)
    year, month, day, hour, minute, second, *_ = time.gmtime(seconds)
    fraction_text = f".{fraction:06d}" if fraction else ""
    return f"{year:04d}-{month:02d}-{day:02d}T{hour:02d}:{minute:02d}:{second:02d}{fraction_text}Z"


class _Reading:
    """What the scanner is told, as ``json.JSONDecoder`` tells it: that one would bring `re` with it."""

    strict = True
    object_hook = object_pairs_hook = None
    parse_float, parse_int = float, int

    @staticmethod
    def parse_constant(name: str) -> object:
        raise ValueError(f"{name} is no JSON")


def _details(text: str) -> str:
    if text == "{}":
        return text
    text = text.strip(" \t\n\r")
    value, end = make_scanner(_Reading())(text, 0)  # type: ignore[arg-type]  # it reads attributes, no class
    if end != len(text) or not isinstance(value, dict):
        raise ValueError("no JSON object")
    return _json_of(value, 1)


def _json_of(value: object, depth: int) -> str:
    if isinstance(value, str):
        return encode_basestring(value)
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, int) and -(2**63) <= value < 2**63:
        return str(value)
    if isinstance(value, float) and not set(text := repr(value)) & set("ein"):  # exponents are written in two ways
        return text
    if depth <= _MAX_DEPTH and isinstance(value, dict):
        return (
            f"{{{','.join([f'{encode_basestring(key)}:{_json_of(item, depth + 1)}' for key, item in value.items()])}}}"
        )
    if depth <= _MAX_DEPTH and isinstance(value, list):
        return f"[{','.join([_json_of(item, depth + 1) for item in value])}]"
    if value is None:
        return "null"
    raise ValueError("a value for the model")
