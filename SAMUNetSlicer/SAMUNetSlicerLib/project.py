"""Facts about the project that several rooms state: one place each."""

NAME = "SAMUNetSlicer"
VERSION = "0.1.0"
# Placeholder: the repository has no public address yet. Replace it here and in the files that the test
# `Testing/Python/test_project_facts.py` names.
HOMEPAGE = "https://example.org/SAMUNetSlicer"
NOT_FOR_CLINICAL_USE = "For research only. Not for clinical use."
