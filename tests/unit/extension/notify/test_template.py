"""``Template``: what is refused at start, what is written."""

from datetime import UTC, datetime

import pytest
from hypothesis import given

from bus_amqp import Event
from bus_amqp.extension.notify import template
from bus_amqp.extension.notify.message import NotWrittenError
from bus_amqp.extension.notify.template import Template, TemplateFault
from tests.unit.strategies import events

VALUES: dict[str, object] = {
    "event_type": "VM.START",
    "event_time": datetime(2026, 3, 1, 9, 5, 7, 123456, tzinfo=UTC),
    "correlation_id": None,
    "description": "",
    "details": {"vm": {"name": "web <1>"}, "items": [1, "ü"], "on": True, "get": "got", "width": 9_999_999_999},
}


@pytest.mark.parametrize(
    ("text", "written"),
    [
        ("{{ event_type }} of {{ details.vm.name }}", "VM.START of web <1>"),
        ("{{ details.no.such.thing }}", "-"),
        ('{{ details.no | default("nobody") }}', "nobody"),
        ("{{ correlation_id }}", "-"),
        ("{{ description or event_type }}", "VM.START"),
        ("{{ event_time }}", "2026-03-01 09:05:07 UTC"),
        ("{{ event_time.strftime('%H:%M') }}", "09:05"),
        ("{{ details.on }} {{ details.vm }}", 'true {"name": "web <1>"}'),
        ("{{ details.items }}", '[1, "ü"]'),
        ("{{ details.get }}", "got"),
        ("{% for one in details['items'] %}{{ one }};{% endfor %}", "1;ü;"),
        ("{% if details.off %}never{% endif %}", ""),
        ("{{ '=' * 3 }} {{ 2 * 3 }} {{ 2 ** 10 }} {{ 1.5 * 2 }}", "=== 6 1024 3.0"),
        ("{{ details.__class__ }}{{ details.vm.name.__class__.__mro__ }}", "--"),
    ],
)
def test_a_template_is_filled_in(text: str, written: str) -> None:
    """Details are found by their names, whatever Python calls by the same name; what is absent is seen to be."""
    assert Template(text).write(VALUES) == written


@pytest.mark.parametrize(
    ("text", "fault", "line"),
    [
        ("a\n{{ event_typ }}", "unknown variable event_typ: did you mean event_type?", 2),
        ("{{ zzz }}", "unknown variable zzz: there are event_category", 1),
        ("a\n\n{{ event_type", "unexpected end of template", 3),
        ("{{ event_type | uper }}", "No filter named 'uper'", 1),
        ("{% for %}", "Expected an expression", 1),
        ("\n{% include '/etc/passwd' %}", "stands by itself", 2),
        ("{% extends 'x' %}", "stands by itself", 1),
        ("{{ " + "(" * 2000 + "1" + ")" * 2000 + " }}", "parts within each other, too deep", 1),
        ("{{ " + "not " * 2000 + "1 }}", "parts within each other, too deep", 1),
        ("{% for a in details %}" * 30 + "{% endfor %}" * 30, "parts within each other, too deep", 1),
    ],
)
def test_a_wrong_template_is_refused_at_start(text: str, fault: str, line: int) -> None:
    """Otherwise the first to learn of it is who waits for the mail."""
    with pytest.raises(TemplateFault, match="(?i)" + fault.replace("?", r"\?")) as caught:
        Template(text)

    assert caught.value.line == line


@pytest.mark.parametrize(
    "text",
    [
        "{{ details.no + 1 }}",
        "{{ details.vm.name() }}",
        "{{ 1 / 0 }}",
        "{% macro m() %}{{ m() }}{% endmacro %}{{ m() }}",
        "{{ '=' * details.width }}",
        "{{ details.width * ['=', '-'] }}",
        "{{ details.width ** details.width }}",
        "{{ 'a' * 9999999999 }}",
    ],
)
def test_what_cannot_be_filled_in_is_an_error_of_its_own(text: str) -> None:
    """Another attempt would end alike: the bus has to know this error from a server that is down."""
    with pytest.raises(NotWrittenError, match="cannot be filled in"):
        Template(text).write(VALUES)


def test_a_long_text_is_bounded_and_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    """Details of a mebibyte make no mail of a mebibyte."""
    monkeypatch.setattr(template, "LONGEST", 10)

    assert Template("{{ description }}").write({"description": "x" * 25}) == f"{'x' * 10}\n(and 15 more characters)"


@given(events())
def test_every_event_can_be_written(event: Event) -> None:
    """Foreign text in an event is text: no brace in it is taken for a template."""
    values = {name: getattr(event, name) for name in type(event).model_fields}

    assert Template("{{ description }}").write(values) == event.description[: template.LONGEST]
    assert Template("{{ details.a.b }} {{ details }} {{ event_time }}").write(values)
