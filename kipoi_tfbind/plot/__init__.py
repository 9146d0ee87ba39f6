"""Pictures of results: each a function from a result Dataset to matplotlib Axes; none touches a model."""

from kipoi_tfbind.plot.logo import plot_logo
from kipoi_tfbind.plot.mutation_map import plot_mutation_map
from kipoi_tfbind.plot.save import check_format, save_plot

__all__ = ["check_format", "plot_logo", "plot_mutation_map", "save_plot"]
