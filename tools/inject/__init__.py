"""Faults that are injected into training runs: what each does, and what has to come of it."""
