"""Ways to have a webhook go where it may not, or lose what it was given; see ``mutations``."""

from __future__ import annotations

from mutation import Mutation

UNIT = "tests/unit/extension/webhook"

MUTATIONS = (
    Mutation(
        "a webhook is connected by its name",
        "bus_amqp/extension/webhook/pinned.py",
        "self._connect.connect_tcp(str(address), port,",
        "self._connect.connect_tcp(host, port,",
        f"{UNIT}/test_pinned.py::test_a_name_is_looked_up_once_and_connected_to_by_its_address",
    ),
    Mutation(
        "one good address is enough for a webhook",
        "bus_amqp/extension/webhook/lookup.py",
        "    for address in found:\n",
        "    for address in found[:1]:\n",
        f"{UNIT}/test_pinned.py::test_one_forbidden_address_among_good_ones_spoils_the_name",
    ),
    Mutation(
        "an address inside another one is not looked at",
        "bus_amqp/extension/webhook/address.py",
        "        inner = embedded_in(address) if isinstance(address, IPv6Address) else ()\n",
        "        inner = ()\n",
        f"{UNIT}/test_address.py::test_allowing_a_tunnel_does_not_allow_what_is_at_its_end",
    ),
    Mutation(
        "the time of a request begins anew with each read",
        "bus_amqp/extension/webhook/pinned.py",
        "        return self._stream.read(max_bytes, _current.get().remaining_seconds())\n",
        "        return self._stream.read(max_bytes, timeout)\n",
        f"{UNIT}/test_client.py::test_a_receiver_that_drips_ends_with_the_time",
    ),
    Mutation(
        "a certificate of anybody is accepted",
        "bus_amqp/extension/webhook/client.py",
        "    return httpcore2.default_ssl_context() if ca_file is None else ssl.create",
        "    return ssl._create_unverified_context() if True else ssl.create",
        f"{UNIT}/test_client_tls.py::test_a_certificate_that_proves_nothing_is_not_accepted",
    ),
    Mutation(
        "a signature of any time is good",
        "bus_amqp/extension/webhook/signature.py",
        "    if abs(age_seconds) > tolerance_seconds:\n",
        "    if False:\n",
        f"{UNIT}/test_signature.py::test_anything_else_is_refused",
    ),
    Mutation(
        "a redirect is a success",
        "bus_amqp/extension/webhook/answer.py",
        "200 <= self.status < 300\n",
        "200 <= self.status < 400\n",
        f"{UNIT}/test_answer.py::test_every_2xx_is_a_success_and_nothing_else",
    ),
    Mutation(
        "a receiver that asks for time is obeyed for ever",
        "bus_amqp/extension/webhook/hook.py",
        "        return wait_seconds if first is not None and now - first < OBEYED_FOR else None\n",
        "        return wait_seconds\n",
        f"{UNIT}/test_hook.py::test_a_receiver_that_asks_for_time_for_ever_is_not_obeyed_for_ever",
    ),
    Mutation(
        "the history of one webhook costs the others theirs",
        "bus_amqp/extension/webhook/history.py",
        '            "DELETE FROM delivery WHERE webhook = :webhook AND id <= "\n',
        '            "DELETE FROM delivery WHERE id <= "\n',
        f"{UNIT}/test_history.py::test_the_oldest_are_forgotten_and_those_of_other_webhooks_are_not",
    ),
    Mutation(
        "an event without an owner is everybody's",
        "bus_amqp/extension/webhook/scope.py",
        "        if not isinstance(domain, str) or self.domain is None:\n            return False\n",
        "        if not isinstance(domain, str) or self.domain is None:\n            return True\n",
        f"{UNIT}/test_scope.py::test_an_event_is_its_owners",
    ),
    Mutation(
        "all webhooks share one group",
        "bus_amqp/extension/webhook/definition.py",
        '        return f"webhook-{self.name}"\n',
        '        return "webhook"\n',
        f"{UNIT}/test_service.py::test_a_receiver_that_hangs_holds_up_no_other",
    ),
)
