"""From sources of images with masks to what training is fed with."""
