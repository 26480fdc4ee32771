"""``suggestion``: what is said to somebody who has mistyped a name."""

from bus_amqp.extension.suggestion import suggestion


def test_the_nearest_name_is_offered_and_else_the_known_ones() -> None:
    """A name that is refused without a word of what was expected costs a look into the manual."""
    assert suggestion("chanels", ["channels", "subject"]) == "did you mean channels?"
    assert suggestion("zzz", ["channels", "subject"]) == "there are channels, subject"
    assert suggestion("zzz", [f"a{n}" for n in range(25)]).endswith("a18, a19 and 5 others")
