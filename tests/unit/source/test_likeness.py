"""``bus_amqp.source.likeness``: slips of fingers, told from other words."""

import pytest

from bus_amqp.source.catalogue import known_event_types
from bus_amqp.source.likeness import nearest

KNOWN = ["VM.START", "VM.STOP", "VM.MIGRATE", "NIC.DETACH", "IPV4.SUBNET.CREATE", "VOLUME.CREATE", "ACCOUNT.LOCK"]


@pytest.mark.parametrize(
    ("given", "meant"),
    [
        ("VM.STRAT", "VM.START"),  # letters swapped
        ("MV.START", "VM.START"),
        ("VM.MIGRAE", "VM.MIGRATE"),  # one missing
        ("VOLUMEE.CREATE", "VOLUME.CREATE"),  # one too many
        ("VM.MIGRARE", "VM.MIGRATE"),  # another one
        ("vm.start", "VM.START"),
        ("VM-START", "VM.START"),
        ("VM_START", "VM.START"),
        ("VMSTART", "VM.START"),
    ],
)
def test_a_slip_leads_to_what_was_meant(given: str, meant: str) -> None:
    """`VM.STRAT` reaches no subscriber of `VM.START`: whoever typed it should hear of it."""
    assert nearest(given, KNOWN) == meant


@pytest.mark.parametrize(
    "given",
    [
        "NIC.ATTACH",  # the opposite of NIC.DETACH
        "IPV6.SUBNET.CREATE",
        "VOLUME.UPDATE",
        "ACCOUNT.UNLOCK",
        "VM.START.LATER",
        "VM.DEFRAGMENT",
        "BUCKET.CREATE",
        "submitted",
        "*.START",
    ],
)
def test_another_word_is_no_slip(given: str) -> None:
    """A warning for each new type would teach people to read over warnings."""
    assert nearest(given, KNOWN) is None


def test_few_of_the_known_types_look_like_slips_of_each_other() -> None:
    """Measured on the real list: of a type that is new tomorrow, one in twenty at most is warned of."""
    known = list(known_event_types())

    suspected = [word for word in known if nearest(word, [other for other in known if other != word])]

    assert len(suspected) < len(known) / 15, suspected
