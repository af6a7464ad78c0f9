"""Speed and memory on this machine, as ratios measured in one run."""
