"""Whatever stands in a rule file, it is read or refused: nothing else."""

import re
from pathlib import Path
from tempfile import TemporaryDirectory

from hypothesis import given
from hypothesis import strategies as st

from bus_amqp import SettingsError
from bus_amqp.extension.notify.rule_file import read_rules

EXAMPLE = (Path(__file__).parents[4] / "docs/examples/notify.toml").read_text(encoding="utf-8")
SIGNS = ["", '"', "'''", "[", "]", "{", "}", "{{", "%}", "=", "\n", "#", "://", "1", "true", "nan", "é", "\0", "\r"]
PIECES = st.sampled_from([*SIGNS, "[rule.x]"]) | st.text(max_size=5)


@given(st.lists(st.tuples(st.integers(0, len(EXAMPLE)), st.integers(0, 40), PIECES), min_size=1, max_size=4))
def test_a_damaged_file_is_read_or_refused_with_a_line(damages: list[tuple[int, int, str]]) -> None:
    """An operator who mistypes at night gets a line to look at, never a traceback."""
    text = EXAMPLE
    for at, length, piece in damages:
        text = text[:at] + piece + text[at + length :]

    with TemporaryDirectory() as folder:
        file = Path(folder) / "rules.toml"
        file.write_text(text, encoding="utf-8", errors="surrogatepass", newline="")
        told = ""
        try:
            read_rules(file)
        except SettingsError as exc:
            told = str(exc)

        assert not told or re.match(rf"{re.escape(str(file))}(:[0-9]+)?: .", told), told
