"""What a webhook's delivery may raise, under the bus's own ``EventBusException``."""

from bus_amqp import EventBusException


class DeliveryFailedError(EventBusException):
    """The receiver did not answer with a 2xx.  The event is tried again, as the webhook's retry policy says."""

    is_transient = True


class ForbiddenAddressError(EventBusException):
    """The webhook leads, by its url or by what its name resolves to, where none may go.  Not tried again."""


class HistoryError(EventBusException):
    """The file of the delivery history cannot be read or written."""

    is_transient = True


class SignatureError(EventBusException, ValueError):
    """A request was not signed with a secret that we know, or not lately.  Answer 401 and do nothing else."""
