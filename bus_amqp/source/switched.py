"""``Switched``: what can be turned off and on while it runs, as every source can."""

from __future__ import annotations

from bus_amqp.source.emitter import Emitter, IsEnabled


class Switched:
    """Owns the emitter whose switch it shows."""

    _emitter: Emitter

    @property
    def is_enabled(self) -> IsEnabled:
        """The switch: True, False, or a function that is asked."""
        return self._emitter.is_enabled

    @is_enabled.setter
    def is_enabled(self, is_enabled: IsEnabled) -> None:
        self._emitter.is_enabled = is_enabled
