"""Token ids: the memory-mapped store, the global order of examples, and batches."""
