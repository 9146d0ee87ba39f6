"""The door that every model comes through: what it is, and how it is asked in the package's own layout.

`kipoi_tfbind.models.load` has the public functions. Imports backends, graph and repairs; methods, commands
and training import it.
"""
