"""The outbound pipeline: outbox, confirms, publisher."""
