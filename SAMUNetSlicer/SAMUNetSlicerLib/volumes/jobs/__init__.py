"""Whole volumes without a window: the work as steps."""
