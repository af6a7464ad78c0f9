"""The volume as planes of any orientation, intensities, prompts, propagation, segments and their files."""
