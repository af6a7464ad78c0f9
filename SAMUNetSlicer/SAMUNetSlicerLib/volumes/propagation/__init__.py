"""From plane to plane."""
