"""Encode planes: engines, and where encodings are kept."""
