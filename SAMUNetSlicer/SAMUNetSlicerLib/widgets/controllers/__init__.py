"""What the panel does, without Qt, so that it is tested without a window."""
