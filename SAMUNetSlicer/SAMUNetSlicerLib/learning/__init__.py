"""Training: sources of images with masks, prompts simulated on them, and the loop that learns from them."""
