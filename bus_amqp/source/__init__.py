"""Who speaks: the parts that a control plane imports to publish actions, alerts, usage, states and jobs.

Each takes anything with ``publish``, has a typed ``details`` model and a switch of its own, starts no thread and may be
called from any.  Import from the file that defines the name.
"""
