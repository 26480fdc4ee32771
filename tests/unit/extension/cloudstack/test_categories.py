"""``bus_amqp.extension.cloudstack.categories``: what a body says, and nothing of it dropped."""

from __future__ import annotations

import pytest

from bus_amqp.extension.cloudstack.categories import told_by
from bus_amqp.extension.cloudstack.key import CloudStackKey


def key(category: str, event_type: str = "T", resource_type: str = "") -> CloudStackKey:
    return CloudStackKey("management-server", category, event_type, resource_type, "")


@pytest.mark.parametrize(
    ("word", "status", "ours"),
    [
        ("submit", "IN_PROGRESS", "submitted"),
        ("update", "IN_PROGRESS", "progress"),
        ("complete", "SUCCEEDED", "completed"),
        ("complete", "FAILED", "failed"),
        ("complete", "CANCELLED", "failed"),
        ("complete", "", None),
        ("complete", "SOMETHING", None),
        ("other", "SUCCEEDED", None),
    ],
)
def test_a_job_has_our_status_where_it_is_certain(word: str, status: str, ours: str | None):
    """A job that was submitted is not completed, whatever its record says by the time of the message."""
    told = told_by(key("AsyncJobEvent", word), {"jobId": "j", "status": status})

    assert told.details.get("status") == ours
    assert told.rest["status"] == status


def test_two_names_of_one_resource_are_both_kept():
    """A volume's machine may be there as its interface and as its row."""
    body = {"com.cloud.vm.VMInstanceVO": "u-1", "VirtualMachine": "u-2", "Account": "t", "account": "a"}

    told = told_by(key("ActionEvent", resource_type="VirtualMachine"), body)

    assert told.details == {
        "account": "a", "context": {"com.cloud.vm.VMInstanceVO": "u-1", "VirtualMachine": "u-2", "Account": "t"},
    }  # fmt: skip
    assert told.resource_uuid == "u-2"


def test_a_failure_is_one_only_where_the_action_is_over():
    """An action that is begun cannot have failed yet, whatever its description begins with."""
    body = {"status": "Started", "description": "Error while is what this one is called"}

    assert told_by(key("ActionEvent"), body).details == {"status": "Started"}


@pytest.mark.parametrize("category", ["ActionEvent", "UsageEvent", "AlertEvent", "ResourceStateEvent", "AsyncJobEvent"])
def test_what_a_category_does_not_know_is_kept(category: str):
    """A key that a later version adds is there for who looks for it."""
    told = told_by(key(category), {"new-in-5.0": {"x": 1}, "nothing": None})

    assert told.rest == {"new-in-5.0": {"x": 1}, "nothing": None}
