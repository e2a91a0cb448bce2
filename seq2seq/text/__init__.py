"""Raw text: corpora, cleaning, tokenizers, sentence splitting."""
