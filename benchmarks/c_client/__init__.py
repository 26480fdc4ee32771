"""The limit that the others are measured against: a client in C."""
