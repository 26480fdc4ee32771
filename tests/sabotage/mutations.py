"""Ways to break the bus with one line, and the test of a promise that must notice.

``search`` stands exactly once in its file; who rewrites that line moves the mutation along.
"""

from __future__ import annotations

from mutation import Mutation

P1 = "tests/promise/test_p1_publish_never_waits.py"
P2 = "tests/promise/test_p2_at_least_once.py"
P3 = "tests/promise/test_p3_order.py"
P5 = "tests/promise/test_p5_nothing_disappears.py"
P5_TYPED = "tests/promise/test_p5_typed_details.py"
P6 = "tests/promise/test_p6_subscribe.py"
P6_END = "tests/promise/test_p6_unsubscribe.py"
P7 = "tests/promise/test_p7_it_heals_and_tells.py"
P7_AUDIT = "tests/promise/test_p7_audit.py"
P8 = "tests/promise/test_p8_it_ends.py"
P8_ODD = "tests/promise/test_p8_closing_at_odd_moments.py"
EXIT = "tests/promise/test_p8_exit.py"
TOGETHER = "tests/promise/test_working_together.py"


MUTATIONS = (
    Mutation(
        "acknowledge before on_event",
        "bus_amqp/consume/workers.py",
        "                outcome = handling.call(event, delivery)\n",
        "                self._settler.accept(batch.session, delivery); self._settler.settle_soon(); "
        "outcome = handling.call(event, delivery)\n",
        f"{P2}::test_p2_an_event_whose_handler_did_not_end_goes_to_another_member[memory-1]",
    ),
    Mutation(
        "acknowledge a foreign session",
        "bus_amqp/consume/consumption.py",
        "        if session == self._session:\n            self._handled.append((session, delivery))\n",
        "        if True:\n            self._handled.append((self._session, delivery))\n",
        f"{P2}::test_p2_an_acknowledgement_of_an_older_session_settles_nothing[memory]",
    ),
    Mutation(
        "call again for what was handled",
        "bus_amqp/consume/consumption.py",
        "        return self._handled_before.knows(delivery)\n",
        "        return False\n",
        f"{P2}::test_p2_an_event_in_hand_when_the_connection_breaks_is_handled_once[memory]",
    ),
    Mutation(
        "drop the audit",
        "bus_amqp/consume/consumer.py",
        "        if due and not self._is_inspecting:\n",
        "        if False:\n",
        f"{P7_AUDIT}::test_p7_a_consumer_that_the_broker_has_forgotten_is_made_again[True]",
    ),
    Mutation(
        "a new session keeps what waits",
        "bus_amqp/consume/dispatcher.py",
        "            self._lanes.forget_waiting()\n",
        "            pass\n",
        f"{P2}::test_p2_an_acknowledgement_of_an_older_session_settles_nothing[memory]",
    ),
    Mutation(
        "skip the resend",
        "bus_amqp/publish/publisher.py",
        "            self._outbox.restore(entries)\n",
        "            pass\n",
        f"{P2}::test_p2_what_the_broker_had_not_confirmed_is_sent_again_in_order",
    ),
    Mutation(
        "resend in the wrong order",
        "bus_amqp/publish/outbox.py",
        "            self._waiting.extendleft(reversed(entries))\n",
        "            self._waiting.extendleft(entries)\n",
        f"{P2}::test_p2_what_the_broker_had_not_confirmed_is_sent_again_in_order",
    ),
    Mutation(
        "take a rejection for a confirm",
        "bus_amqp/publish/publisher.py",
        "                    self._rejected += self._confirms.settle(",
        "                    settled += self._confirms.settle(",
        f"{P2}::test_p2_rejected_messages_are_sent_again_in_order",
    ),
    Mutation(
        "settle receipts before the confirm",
        "bus_amqp/publish/publisher.py",
        "            channel.send([entry.message for entry in entries])\n",
        "            channel.send([entry.message for entry in entries]); [one.receipt.settle() for one in entries]\n",
        f"{P2}::test_p2_what_the_broker_had_not_confirmed_is_sent_again_in_order",
    ),
    Mutation(
        "multiple confirms off by one",
        "bus_amqp/publish/confirms.py",
        "                for number in range(self._oldest, sequence + 1)\n",
        "                for number in range(self._oldest, sequence)\n",
        f"{P1}::test_p1_publish_and_receipts_work_inside_a_running_event_loop[memory]",
    ),
    Mutation(
        "hide the gap",
        "bus_amqp/engine/subscription.py",
        "    return None if is_there else consumption.outage.gap()\n",
        "    return None\n",
        f"{P2}::test_p2_a_deleted_queue_is_restored_and_the_gap_is_reported[memory]",
    ),
    Mutation(
        "close before the acknowledgements are taken",
        "bus_amqp/consume/consumer.py",
        "        for letter in [one for one in self._leaving if one.due_at <= now]:\n",
        "        for letter in [one for one in self._leaving if now]:\n",
        "tests/unit/consume/test_consumer.py::test_the_channel_stays_until_the_broker_has_taken_what_was_acknowledged",
    ),
    Mutation(
        "declare a queue that is being deleted",
        "bus_amqp/engine/subscription.py",
        "    if is_there and consumption.outage.may_be_deletion:\n",
        "    if False:\n",
        "tests/unit/engine/test_looking_after.py::test_a_queue_that_may_go_in_a_moment_is_not_declared",
    ),
    Mutation(
        "drop the busy keys",
        "bus_amqp/consume/lanes.py",
        "            elif (behind := self._behind.get(lane)) is not None:\n",
        "            elif (behind := None) is not None:\n",
        f"{P3}::test_p3_a_temporary_subscription_keeps_order_while_connections_are_cut[memory-coroutines]",
    ),
    Mutation(
        "forget at a lost connection which keys are in hand",
        "bus_amqp/consume/lanes.py",
        "        self._behind = {lane: deque() for lane in self._lanes_in_hand.values() if lane is not None}\n",
        "        self._behind = {}\n",
        f"{P3}::test_p3_a_temporary_subscription_keeps_order_while_connections_are_cut[memory-threads]",
    ),
    Mutation(
        "all members of an ordered group at work",
        "bus_amqp/topology/plan.py",
        '        arguments["x-single-active-consumer"] = True\n',
        "        pass\n",
        f"{P3}::test_p3_only_one_member_of_an_ordered_group_works[memory]",
    ),
    Mutation(
        "ignore the outbox bound",
        "bus_amqp/publish/outbox.py",
        "                self._wait_for_room(1, entry.size_bytes, timeout_seconds)\n",
        "                pass\n",
        f"{P1}::test_p1_a_full_outbox_waits_once_then_fails_at_once[memory]",
    ),
    Mutation(
        "count no bytes in the outbox",
        "bus_amqp/publish/outbox.py",
        "        self._bytes += entry.size_bytes\n",
        "        self._bytes += 0\n",
        f"{P1}::test_p1_a_full_outbox_by_bytes_refuses[memory]",
    ),
    Mutation(
        "let every caller wait for a stuck broker",
        "bus_amqp/publish/outbox.py",
        "                self._is_stuck = True\n",
        "                pass\n",
        f"{P1}::test_p1_a_full_outbox_waits_once_then_fails_at_once[memory]",
    ),
    Mutation(
        "hand on what the topic does not want",
        "bus_amqp/consume/handling.py",
        "        if self._takes_all or any(topic.matches(event) for topic in self._topics):\n",
        "        if True:\n",
        f"{P5}::test_p5_what_only_the_coarse_binding_brought_is_no_dead_letter[memory]",
    ),
    Mutation(
        "acknowledge away what no topic explains",
        "bus_amqp/consume/handling.py",
        '        return self._refuse("no-topic", ',
        '        return None and self._refuse("no-topic", ',
        f"{P5}::test_p5_an_event_that_no_topic_explains_is_dead_lettered[memory]",
    ),
    Mutation(
        "hand on details that do not fit",
        "bus_amqp/consume/typed_handler.py",
        "            raise MisfitError(str(exc)) from exc\n",
        "            typed = event\n",
        f"{P5_TYPED}::test_p5_details_that_do_not_fit_are_dead_lettered[memory-threads]",
    ),
    Mutation(
        "try details that do not fit again",
        "bus_amqp/consume/handling.py",
        "        if isinstance(error, MisfitError):\n",
        "        if False:\n",
        f"{P5_TYPED}::test_p5_details_that_do_not_fit_are_dead_lettered[memory-coroutines]",
    ),
    Mutation(
        "show the value that does not fit",
        "bus_amqp/wire/faults.py",
        "            says = _without(values, says)\n",
        "            pass\n",
        "tests/unit/consume/test_typed_handler.py"
        "::test_what_a_validator_refuses_is_a_misfit_and_its_other_errors_are_the_handlers",
    ),
    Mutation(
        "the books hide what a subscriber asks for",
        "bus_amqp/process/ledger.py",
        "    @wraps(handler, updated=())\n    def handle(",
        "    def handle(",
        "tests/unit/process/test_ledger.py::test_what_a_subscriber_asks_for_is_seen_through_the_books",
    ),
    Mutation(
        "dead letters are not mandatory",
        "bus_amqp/consume/dead_letter.py",
        "        mandatory=True,\n",
        "        mandatory=False,\n",
        f"{P5}::test_p5_the_original_stays_until_its_dead_letter_is_stored[memory]",
    ),
    Mutation(
        "acknowledge before the dead letter is stored",
        "bus_amqp/consume/copying.py",
        "        if error is None:\n            self._acknowledge(session, tag)\n",
        "        if True:\n            self._acknowledge(session, tag)\n",
        f"{P5}::test_p5_the_original_stays_until_its_dead_letter_is_stored[memory]",
    ),
    Mutation(
        "unsubscribe does not wait",
        "bus_amqp/engine/subscriptions.py",
        "        if is_inside or self._async_loop.is_current:\n",
        "        if True:\n",
        f"{P6_END}::test_p6_unsubscribe_waits_for_the_callback_that_runs[memory]",
    ),
    Mutation(
        "unsubscribe from inside waits for itself",
        "bus_amqp/engine/subscriptions.py",
        "        if is_inside or self._async_loop.is_current:\n",
        "        if False:\n",
        f"{P6_END}::test_p6_a_callback_may_end_its_own_subscription[memory-threads]",
    ),
    Mutation(
        "start what was being decoded when the subscription ended",
        "bus_amqp/consume/workers.py",
        "                break  # ended while it was decoded",
        "                pass  # ended while it was decoded",
        f"{P6_END}::test_p6_none_starts_after_a_callback_has_ended_its_subscription",
    ),
    Mutation(
        "leave the temporary queue",
        "bus_amqp/engine/subscriptions.py",
        "            if subscription.options.group is None and self._settings.declare and not ",
        "            if False and not ",
        f"{P6}::test_p6_a_temporary_queue_goes_with_its_subscription[memory-_by_close]",
    ),
    Mutation(
        "say consuming when it is not",
        "bus_amqp/consume/consumption.py",
        "            is_consuming=self.channel is not None and not why_still,\n",
        "            is_consuming=True,\n",
        f"{P7}::test_p7_a_subscription_that_is_not_consuming_is_not_well[memory]",
    ),
    Mutation(
        "ignore that the broker cancelled a consumer",
        "bus_amqp/consume/consumer.py",
        "                    self._interrupted(signal.channel, ChannelLostError(",
        "                    id(ChannelLostError(",
        f"{P7}::test_p7_a_cancelled_consumer_is_repaired_and_the_others_do_not_notice[memory]",
    ),
    Mutation(
        "close does not flush",
        "bus_amqp/ioloop/loop.py",
        "        return self._is_stopping and (self._is_abandoned or client.is_finished())\n",
        "        return self._is_stopping\n",
        f"{P8}::test_p8_close_sends_what_was_accepted[memory]",
    ),
    Mutation(
        "the second close does not wait",
        "bus_amqp/engine/brokered_bus.py",
        "                self._ended.wait(timeout_seconds)\n",
        "                pass\n",
        f"{P8_ODD}::test_p8_every_close_returns_when_the_bus_has_ended[memory]",
    ),
    Mutation(
        "exit does not flush",
        "bus_amqp/engine/lifetime.py",
        "    atexit.register(finish)\n",
        "    pass\n",
        f"{EXIT}::test_p8_a_program_that_forgets_close_flushes_at_exit",
    ),
    Mutation(
        "events do not name their cause",
        "bus_amqp/engine/publishing.py",
        "        if cause is not None and isinstance(event, Event):\n",
        "        if False:\n",
        f"{TOGETHER}::test_what_a_handler_publishes_names_its_cause[memory-threads]",
    ),
)
