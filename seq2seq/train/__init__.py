"""Training: data preparation, the loop, optimizer, checkpoints, ranks and monitoring."""
