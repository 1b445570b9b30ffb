"""From trained weights to a sealed bundle."""
