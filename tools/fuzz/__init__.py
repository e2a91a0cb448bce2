"""Random input for parts of the program, and what has to come of it."""
