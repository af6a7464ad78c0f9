"""Pictures and prompts in, mask logits out. Needs torch and the installed `segment-anything`, nothing of Slicer."""
