"""Windows of thin nodes, read by a pool of readers elsewhere."""
