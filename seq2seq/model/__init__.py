"""The Transformer: tensors in, tensors out."""
