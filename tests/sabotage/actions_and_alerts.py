"""Ways to break what actions and alerts promise; see ``mutations``."""

from __future__ import annotations

from mutation import Mutation

SOURCE = "tests/unit/source"

MUTATIONS = (
    Mutation(
        "call a failure Completed",
        "bus_amqp/source/performing.py",
        "            self._failure = (_class_of(exc), _message_of(exc))\n",
        "            pass\n",
        f"{SOURCE}/test_action.py::test_a_failure_is_told_and_goes_on_unchanged",
    ),
    Mutation(
        "let a publisher break the action",
        "bus_amqp/source/performing.py",
        "            self._emitter.note_failure(self.event_type, exc)\n",
        "            raise\n",
        f"{SOURCE}/test_action.py::test_a_bus_that_fails_breaks_no_action",
    ),
    Mutation(
        "ask the switch again at the end of an action",
        "bus_amqp/source/performing.py",
        "        if not self._is_on:\n            return\n",
        "        if not self._emitter.is_on():\n            return\n",
        f"{SOURCE}/test_performing.py::test_a_switch_turned_in_between_leaves_no_action_without_its_outcome",
    ),
    Mutation(
        "stay the cause after the action",
        "bus_amqp/source/performing.py",
        "                current_event.reset(token)\n",
        "                pass\n",
        f"{SOURCE}/test_performing_causes.py::test_what_is_published_inside_was_caused_by_the_action",
    ),
    Mutation(
        "forget what was folded",
        "bus_amqp/source/folding.py",
        "        self.untold += count\n",
        "        self.untold = count\n",
        f"{SOURCE}/test_folding.py::test_every_alert_is_told_once_and_the_last_word_is_true",
    ),
    Mutation(
        "fold an alert into one that has ended",
        "bus_amqp/source/folding.py",
        "        is_new = place is None or not (place.is_open or place.is_owed)\n",
        "        is_new = place is None\n",
        f"{SOURCE}/test_folding.py::test_an_alert_after_the_end_is_a_new_one",
    ),
    Mutation(
        "owe nothing for an alert that was refused",
        "bus_amqp/source/folding.py",
        "        place.is_owed = True\n",
        "        return\n",
        f"{SOURCE}/test_folding.py::test_an_end_that_could_not_be_published_is_owed",
    ),
    Mutation(
        "let a value tremble around one threshold",
        "bus_amqp/source/threshold.py",
        "        if self.clear_threshold == self.threshold:\n",
        "        if True:\n",
        f"{SOURCE}/test_threshold.py::test_between_the_thresholds_nothing_changes",
    ),
    Mutation(
        "let half a surrogate pair through",
        "bus_amqp/source/quick_event.py",
        "        if type(word) is not str or not word.isascii():\n",
        "        if type(word) is not str:\n",
        f"{SOURCE}/test_quick_event.py::test_it_makes_what_event_makes_or_nothing",
    ),
)
