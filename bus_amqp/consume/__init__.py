"""The inbound pipeline: dispatcher, workers, consumer."""
