"""Segments, how they came to be, and their files."""
