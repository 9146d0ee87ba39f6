"""Repairs of Kipoi 0.8.6 for today's Python packages: one function for each fault, with its reason.

`apply.py` has the table of all repairs and `repair`, which `_kipoi_tfbind_hook` calls for each module of
Kipoi as it is imported. Imports the errors and notices only, so that it weighs nothing at the start of each
`kipoi` command; the models import `legacy_keras` and `weight_files`.
"""

from kipoi_tfbind.repairs.apply import repair

__all__ = ["repair"]
