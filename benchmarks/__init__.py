"""What the program costs, as ratios inside one run: a machine's speed cancels out."""
