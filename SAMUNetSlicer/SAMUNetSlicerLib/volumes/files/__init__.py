"""Volumes and markups from files."""
