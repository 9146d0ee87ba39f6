"""Makes Kipoi 0.8.6 see kipoi_tfbind as a plugin."""
