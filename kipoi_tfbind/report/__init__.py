"""A report on results: one HTML page with everything in it, pictures and tables.

Imports results, plots and what methods say of their results; the commands import it.
"""

from kipoi_tfbind.report.page import write_report

__all__ = ["write_report"]
