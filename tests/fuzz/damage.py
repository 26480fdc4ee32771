"""How hypothesis damages what is right: bytes, frames and JSON, a little or a lot."""

from __future__ import annotations

import struct
from collections.abc import Callable

from hypothesis import strategies as st

from tests.fuzz.seeds import seeds
from tests.unit.transport.amqp.broker_streams import cut_into_frames, streams

_TELLING = [b"\x00", b"\xff", b"\xce", b"\x7f", b"\x80", b"\xff\xff\xff\xff", b"\x00\x00\x00\x00", b"\xed\xa0\x80"]
some_bytes = st.sampled_from(_TELLING) | st.binary(max_size=12)


@st.composite
def damaged(draw: st.DrawFn, target: str) -> bytes:
    """Draw something that is right, with a few bytes changed, put in, left out or repeated."""
    found = draw(st.sampled_from(seeds(target)))
    for _ in range(draw(st.integers(0, 4))):
        at, until = sorted(draw(st.tuples(st.integers(0, len(found)), st.integers(0, len(found)))))
        match draw(st.sampled_from(["overwrite", "insert", "cut", "repeat", "leave-out"])):
            case "overwrite":
                new = draw(some_bytes)
                found = found[:at] + new + found[at + len(new) :]
            case "insert":
                found = found[:at] + draw(some_bytes) + found[at:]
            case "cut":
                found = found[:until]
            case "repeat":
                found = found[:until] + found[at:until] + found[until:]
            case _:
                found = found[:at] + found[until:]
    return found


def _announce(frame: bytes, size: int) -> bytes:
    return frame[:3] + struct.pack(">I", size) + frame[7:]


def _announce_body(frame: bytes, size: int) -> bytes:
    return frame[:11] + struct.pack(">Q", size) + frame[19:] if frame[0] == 2 and len(frame) > 19 else frame


@st.composite
def disordered(draw: st.DrawFn) -> bytes:
    """Draw a stream of whole frames in which some are missing, doubled, exchanged, renumbered or lie about a size."""
    frames = cut_into_frames(draw(streams().filter(bool)))
    sizes = st.sampled_from([0, 1, 4096, 4097, 2**31, 2**32 - 1]) | st.integers(0, 2**32 - 1)
    changes: dict[str, Callable[[int], list[bytes]]] = {
        "drop": lambda at: [],
        "double": lambda at: [frames[at]] * 2,
        "kind": lambda at: [bytes([draw(st.integers(0, 9))]) + frames[at][1:]],
        "channel": lambda at: [frames[at][:1] + draw(st.sampled_from([b"\0\0", b"\0\1", b"\0\2"])) + frames[at][3:]],
        "size": lambda at: [_announce(frames[at], draw(sizes))],
        "body": lambda at: [_announce_body(frames[at], draw(sizes) * 2**31)],
        "end": lambda at: [frames[at][:-1] + b"\x00"],
        "empty": lambda at: [frames[at], struct.pack(">BHIB", 3, draw(st.integers(0, 3)), 0, 0xCE) * 3],
    }
    for _ in range(draw(st.integers(1, 3))):
        if not frames:
            break
        at = draw(st.integers(0, len(frames) - 1))
        frames[at : at + 1] = changes[draw(st.sampled_from(sorted(changes)))](at)
        if draw(st.booleans()):
            frames = draw(st.permutations(frames)) if len(frames) < 8 else frames[::-1]
    return b"".join(frames)


_numbers = st.sampled_from(
    ["NaN", "-NaN", "Infinity", "-Infinity", "1e999", "-1e-999", "1" * 4300, "1" * 4301, "9" * 20_000, "-0", "1.", "01"]
)
_texts = st.sampled_from(
    [r'"\ud800"', r'"\udc00\ud800"', r'"\u0000"', '"\\x"', '"\x00"', '"\u2028"', '"' + "x" * 5000 + '"', '"\\"', "'x'"]
) | st.text(max_size=20).map(lambda text: f'"{text}"')
_odd = _numbers | _texts | st.sampled_from(["null", "true", "[]", "{}", "", "[1,]", "{1:2}", '{"a":1,"a":NaN}'])


def _nested(depth: int, opening: str, closing: str) -> str:
    return opening * depth + "1" + closing * depth


_deep = st.builds(
    _nested,
    st.sampled_from([62, 63, 64, 65, 199, 200, 201, 5000, 100_000]),
    *(st.shared(st.sampled_from([("[", "]"), ('{"k":', "}"), ('[{"k":', "}]")]), key="k").map(s) for s in (
        lambda pair: pair[0], lambda pair: pair[1])),
)  # fmt: skip
_NAMES = [
    "eventCategory", "eventType", "eventSource", "resourceType", "resourceUUID", "description", "eventId", "eventTime",
    "details", "correlationId", "causationId", "event_type", "unknown",
]  # fmt: skip


@st.composite
def json_texts(draw: st.DrawFn) -> bytes:
    """Draw JSON that nearly is an event, written by somebody who knows neither JSON nor events well."""
    fields = {"eventCategory": '"a"', "eventType": '"b"', "eventSource": '"c"'}
    for name in draw(st.lists(st.sampled_from(_NAMES), max_size=3)):
        value = draw(_odd | _deep)
        fields[name] = f'{{"x":{value}}}' if name == "details" and draw(st.booleans()) else value
    members = [f'"{name}":{value}' for name, value in fields.items()]
    if draw(st.booleans()):
        members.append(draw(st.sampled_from(members)))  # a key twice
    text = draw(st.sampled_from(["", "\ufeff", " "])) + "{" + ",".join(members) + "}"
    coding = draw(st.sampled_from(["utf-8", "utf-8", "utf-8", "utf-16", "latin-1"]))
    return text.encode(coding, "surrogatepass" if coding == "utf-8" else "replace")
