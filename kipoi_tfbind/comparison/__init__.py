"""Comparisons of training settings: a grid of runs, measured alike, in one table."""
