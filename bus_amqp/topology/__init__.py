"""Where it goes: names and plans of objects on the broker, as pure description."""
