"""From a model to text: search and translation."""
