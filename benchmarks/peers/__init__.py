"""One file for each client: how it publishes and how it consumes, in its documented best configuration."""
