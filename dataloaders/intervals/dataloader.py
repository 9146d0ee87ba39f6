"""Kipoi finds the dataloader of this folder here; it is the package's own."""

from kipoi_tfbind.dataloaders import IntervalWindows


class Intervals(IntervalWindows):
    """A class of its own: Kipoi writes the description in dataloader.yaml onto it."""
