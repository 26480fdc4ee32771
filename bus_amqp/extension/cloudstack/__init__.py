"""A real Apache CloudStack: its events as ours, and ours in its format."""
