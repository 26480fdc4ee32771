"""What travels: routing keys, JSON, messages."""
