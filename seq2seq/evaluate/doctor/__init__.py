"""What is wrong with corpora and with model folders: counted, explained, with places to look at."""
