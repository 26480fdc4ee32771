"""Side by side with peers: rate, CPU, latency, memory and start-up, measured in one run against one real broker."""
