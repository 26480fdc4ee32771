"""Webhooks: events as signed HTTP requests, retried through the bus, with a history and a guard on where they go."""
