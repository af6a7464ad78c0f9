"""One plane: prepare, encode once, cache, decode often."""
