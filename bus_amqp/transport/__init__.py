"""The seam to broker technology, and two ways across it."""
