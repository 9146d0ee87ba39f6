"""What the models of a Kipoi source are, and what each method makes of them: a table and a page."""

from kipoi_tfbind.survey.survey_source import survey_source

__all__ = ["survey_source"]
