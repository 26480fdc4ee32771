"""How long any test waits for what has to come."""

import os

# Generous: a deadline is there to end a test that has failed, not to measure; a machine with three workers, their
# brokers and two cores now and then stands still for seconds.  `make sabotage`, whose tests are meant to fail, asks for
# less.
TIMEOUT_SECONDS = float(os.environ.get("TEST_TIMEOUT_SECONDS", "20"))
