"""Ways to break what states, usage and jobs promise, and the test that must notice; see ``mutations``."""

from __future__ import annotations

from mutation import Mutation

SOURCE = "tests/unit/source"

MUTATIONS = (
    Mutation(
        "a store that says no has stored",
        "bus_amqp/source/state_machine.py",
        "    if stored is not None and not stored:\n",
        "    if False:\n",
        f"{SOURCE}/test_state_machine.py::test_a_store_that_says_no_has_a_failed_and_no_phantom",
    ),
    Mutation(
        "a pre may stay alone",
        "bus_amqp/source/state.py",
        "        if change.notes.get(self) or (_FAILED in self._phases and self._is_on()):\n",
        "        if False:\n",
        f"{SOURCE}/test_state.py::test_a_change_that_was_not_stored_is_taken_back",
    ),
    Mutation(
        "a stop that failed is a start",
        "bus_amqp/source/usage_meter.py",
        "            return self.begins if old not in self.states or old in self.uncertain else None\n",
        "            return self.begins\n",
        f"{SOURCE}/test_usage_meter.py::test_over_any_life_beginnings_and_ends_take_turns",
    ),
    Mutation(
        "a duplicate of a change is other usage",
        "bus_amqp/source/usage_from_state.py",
        '            event_id=uuid5(_NAMESPACE, f"{event.event_id} {usage_type}"),\n',
        "            event_id=None,\n",
        f"{SOURCE}/test_usage_from_state.py::test_an_event_that_comes_twice_gives_the_same_usage_twice",
    ),
    Mutation(
        "a change is acknowledged before its usage is confirmed",
        "bus_amqp/source/usage_from_state.py",
        "                result(self._confirm_timeout_seconds)\n",
        "                pass\n",
        f"{SOURCE}/test_usage_from_state.py::test_the_event_is_kept_until_its_usage_is_confirmed",
    ),
    Mutation(
        "JSON in strings is not looked through",
        "bus_amqp/source/redaction.py",
        "        while begins := _JSON_BEGINS.search(text, search_from):\n",
        "        while False:\n",
        f"{SOURCE}/test_redaction.py::test_a_name_is_known_however_json_has_written_it",
    ),
    Mutation(
        "the errors of jobs are told with their secrets",
        "bus_amqp/source/job.py",
        "        message = self._text(error)[:MAX_ERROR_LENGTH]\n",
        "        message = str(error)[:MAX_ERROR_LENGTH]\n",
        f"{SOURCE}/test_job.py::test_no_secret_of_a_job_is_in_any_part_of_its_event",
    ),
)
