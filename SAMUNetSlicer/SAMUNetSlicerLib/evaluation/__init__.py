"""Metrics, pictures and measurements."""
