"""The variables of a sequence Dataset and of the results: dimensions, unit and meaning of each.

A module for each kind of result; `table.py` puts them together. Imports the errors; all else may import it.
"""

from kipoi_tfbind.schema.table import AUXILIARY, SPREAD, VARIABLES, annotate, require
from kipoi_tfbind.schema.variable import Variable

__all__ = ["AUXILIARY", "SPREAD", "VARIABLES", "Variable", "annotate", "require"]
