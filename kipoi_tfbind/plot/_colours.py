"""Colours that colour-blind people can tell apart."""

import matplotlib as mpl

# Okabe and Ito's palette, in the usual roles of the four bases.
BASE_COLOURS = {"A": "#009E73", "C": "#0072B2", "G": "#E69F00", "T": "#D55E00"}

MISSING = "0.88"

# Blue to red over white, to be centred on zero; grey is "no value".
DIVERGING = mpl.colormaps["RdBu_r"].with_extremes(bad=MISSING)
# Its ends, for lines and areas.
LOWERS, RAISES = "#2166AC", "#B2182B"
