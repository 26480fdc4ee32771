"""Assembly: the composition root."""
