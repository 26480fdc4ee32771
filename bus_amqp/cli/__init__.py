"""The command line: presentation only."""
