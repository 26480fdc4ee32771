"""Ways to break what keeps events through faults of brokers, disks, operators and processes; see ``mutations``."""

from __future__ import annotations

from mutation import Mutation

P2_DISK = "tests/promise/test_p2_disk_outbox.py"
P5_RETRIES = "tests/promise/test_p5_retries.py"
UNIT_PUBLISH = "tests/unit/publish"
UNIT_CONSUME = "tests/unit/consume"
UNIT_CLOUDSTACK = "tests/unit/extension/cloudstack"

MUTATIONS = (
    Mutation(
        "credit a late confirm to another message",
        "bus_amqp/publish/publisher.py",
        "                case _ if signal.channel is not channel:\n",
        "                case _ if False:\n",
        f"{UNIT_PUBLISH}/test_publisher_unanswered.py::test_a_late_answer_is_never_credited_to_another_message",
    ),
    Mutation(
        "wait for a confirm for ever",
        "bus_amqp/publish/publisher.py",
        "        if left_seconds <= 0:\n",
        "        if False:\n",
        f"{UNIT_PUBLISH}/test_publisher_unanswered.py"
        "::test_unconfirmed_messages_are_sent_again_on_another_channel_in_order",
    ),
    Mutation(
        "send what was rejected as a whole window",
        "bus_amqp/publish/publisher.py",
        "        self._isolation.probe()",
        "        pass",
        f"{UNIT_PUBLISH}/test_publisher_faults.py::test_a_broker_that_rejects_is_probed_with_one_event_at_a_time",
    ),
    Mutation(
        "an event that is refused for good is sent for ever",
        "bus_amqp/publish/publisher.py",
        "            culprits = self._confirms.reset() if is_found else []\n",
        "            culprits = []\n",
        f"{UNIT_PUBLISH}/test_publisher_refusals.py::test_a_message_that_the_broker_refuses_fails_alone",
    ),
    Mutation(
        "publish returns before the event is on disk",
        "bus_amqp/publish/stored_outbox.py",
        "                self._own.append([(entry.number, entry.message) for entry in batch.own])\n",
        "                pass\n",
        f"{UNIT_PUBLISH}/test_disk_outbox.py::test_an_event_is_on_disk_when_put_returns",
    ),
    Mutation(
        "two processes may adopt one file",
        "bus_amqp/publish/file_lock.py",
        "fcntl.LOCK_EX | fcntl.LOCK_NB",
        "fcntl.LOCK_SH | fcntl.LOCK_NB",
        f"{UNIT_PUBLISH}/test_adoption.py::test_a_file_that_one_outbox_is_sending_is_not_sent_by_another",
    ),
    Mutation(
        "count adopted events as settled too early",
        "bus_amqp/publish/adoption.py",
        "self._pages[0].last_number <= settled_through",
        "True",
        f"{UNIT_PUBLISH}/test_adoption.py::test_adopted_events_come_in_pages_and_their_file_goes_when_all_are_settled",
    ),
    Mutation(
        "drop adopted events that nobody wants",
        "bus_amqp/publish/adoption.py",
        "                self._aside.put(page.failed)\n",
        "                pass\n",
        f"{P2_DISK}::test_p2_an_adopted_event_that_nobody_wants_is_moved_aside_with_the_reason[memory]",
    ),
    Mutation(
        "attempts are not counted",
        "bus_amqp/consume/second_chance.py",
        "    return SecondChance(delay, explanation, attempts + 1, postponements)\n",
        "    return SecondChance(delay, explanation, attempts, postponements)\n",
        f"{P5_RETRIES}::test_p5_an_event_whose_attempts_are_used_up_is_dead_lettered[memory]",
    ),
    Mutation(
        "a retry goes to everybody",
        "bus_amqp/consume/second_chance.py",
        "        exchange=exchange_of(rung),\n        key=address.queue,\n",
        "        exchange=delivery.exchange,\n        key=delivery.routing_key,\n",
        f"{P5_RETRIES}::test_p5_nobody_else_sees_a_retry[memory]",
    ),
    Mutation(
        "what returns from a wait is ordered by its queue",
        "bus_amqp/consume/lanes.py",
        '    is_direct = delivery.exchange in ("", return_exchange)\n',
        "    is_direct = False\n",
        f"{UNIT_CONSUME}/test_lanes.py::test_what_returns_from_a_wait_is_ordered_by_its_original_key",
    ),
    Mutation(
        "a ghost is never found",
        "bus_amqp/consume/audit.py",
        "        self._silent_looks = self._silent_looks + 1 if self._is_starving(state, now) else 0\n",
        "        self._silent_looks = 0\n",
        f"{UNIT_CONSUME}/test_audit.py::test_messages_that_wait_while_we_have_room_are_a_ghost_at_the_second_look",
    ),
    Mutation(
        "a queue whose node is down is waited for",
        "bus_amqp/engine/subscription.py",
        "        _move(consumption, connection, exc)\n",
        "        raise\n",
        "tests/unit/engine/test_moving_queue.py"
        "::test_a_temporary_subscription_gets_a_queue_on_another_node_and_tells_the_gap",
    ),
    Mutation(
        "believe the headers of others",
        "bus_amqp/consume/foreign_decoding.py",
        '        has_been_here = delivery.exchange in ("", self._return_exchange)\n',
        "        has_been_here = True\n",
        f"{UNIT_CONSUME}/test_foreign_decoding.py::test_headers_of_ours_that_others_have_written_mean_nothing",
    ),
    Mutation(
        "bridge without waiting for the confirm",
        "bus_amqp/extension/cloudstack/bridge.py",
        "        await receipt\n",
        "        receipt.done()\n",
        f"{UNIT_CLOUDSTACK}/test_bridge.py::test_a_message_is_acknowledged_only_once_our_event_is_confirmed",
    ),
    Mutation(
        "copy what our broker refuses, and take the next",
        "bus_amqp/extension/cloudstack/bridge.py",
        "    keep_order=True,\n",
        "",
        f"{UNIT_CLOUDSTACK}/test_bridge.py::test_while_our_broker_refuses_everything_the_rest_stays_where_it_is",
    ),
    Mutation(
        "drop what comes again as a twin",
        "bus_amqp/extension/cloudstack/decoder.py",
        " and not message.is_repeated",
        "",
        f"{UNIT_CLOUDSTACK}/test_decoder.py::test_what_comes_again_is_never_dropped",
    ),
    Mutation(
        "the shortcut of publish --spool overlooks the settings",
        "bus_amqp/cli/shortcut.py",
        "if given is None or own_variables() or",
        "if given is None or",
        "tests/unit/cli/test_shortcut.py::test_any_variable_of_ours_is_for_the_command[BUS_AMQP_EXCHANGE]",
    ),
    Mutation(
        "a loose event goes to whoever gathers first, of any exchange",
        "bus_amqp/publish/loose_events.py",
        "        if exchange == self._directory.exchange:\n",
        "        if exchange:\n",
        "tests/unit/publish/test_loose_events.py::test_those_of_another_exchange_stay",
    ),
    Mutation(
        "a spool appends without gathering first",
        "bus_amqp/engine/spool_bus.py",
        "            self._gather()\n",
        "            pass\n",
        "tests/promise/test_p2_loose_events.py::test_p2_whichever_way_each_call_takes_the_order_is_that_of_the_calls",
    ),
    Mutation(
        "a journal that is held for a moment is passed by the next one",
        "bus_amqp/publish/adoption.py",
        "        if journal is None and path.exists() and self._directory.may_be_ours(path):\n",
        "        if False:\n",
        "tests/unit/publish/test_gathering.py"
        "::test_a_journal_that_a_spool_holds_for_one_append_is_not_passed_by_the_next_one",
    ),
    Mutation(
        "loose events are named by the clock alone",
        "bus_amqp/publish/loose_event.py",
        "    return max(int(now * 1e6), max(map(sequence_of, names), default=0) + 1)\n",
        "    return int(now * 1e6)\n",
        "tests/unit/publish/test_loose_event.py::test_later_events_sort_behind_also_by_a_clock_that_was_set_back",
    ),
)
