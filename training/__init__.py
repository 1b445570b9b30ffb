"""Corpora, recipes, training and evaluation. Torch lives here."""
