"""What an operator asks for; no printing."""
