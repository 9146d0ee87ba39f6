"""Training on peaks: windows and labels, fitting, evaluation, packaging into the zoo."""
