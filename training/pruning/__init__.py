"""Structural pruning: which parts of a language model count least, and the model without them."""
