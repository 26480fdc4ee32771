"""How the command ends: 0 is well."""

FAILED, USED_WRONGLY, INTERRUPTED, TERMINATED = 1, 2, 130, 143
