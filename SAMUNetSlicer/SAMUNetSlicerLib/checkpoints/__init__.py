"""Which models exist, and their files: recognised, read (tensors only), loaded, downloaded, converted, deleted."""
