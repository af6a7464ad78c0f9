"""The work in Slicer's scene: markups become prompts, masks become segments, and nothing accepted is ever lost."""
