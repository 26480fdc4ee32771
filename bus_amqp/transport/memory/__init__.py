"""``memory://``: a topic-exchange broker inside the process, for tests, demos and single-process programs."""
