"""The variables of this process that are ours.  Imports nothing but ``os``: the command's shortcut asks here, too."""

import os

PREFIX = "BUS_AMQP_"


def own_variables() -> dict[str, str]:
    """Return the variables that begin with our prefix, in any case of letters, and are not empty."""
    return {name.upper(): value for name, value in os.environ.items() if name.upper().startswith(PREFIX) and value}
