"""MRML nodes as the core's types, and back."""
