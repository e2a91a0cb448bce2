"""What `tools/fuzz_parsers.py` does to the parsers of the program: mutations, targets, processes that may crash."""
