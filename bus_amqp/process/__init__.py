"""Consumer processes: find their subscribers, run them until a signal, start and stop several."""
