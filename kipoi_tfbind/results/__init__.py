"""Results: files of them, written piece by piece and resumed, and scores and views of them.

Imports the schema and the errors, never a model: plots, reports, exports and commands import it.
"""
