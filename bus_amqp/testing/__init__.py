"""What tests and demonstrations need: real brokers from nothing, networks that fail on request."""
