"""A report on results: one HTML page with everything in it, pictures and tables."""

from kipoi_tfbind.report.page import write_report

__all__ = ["write_report"]
