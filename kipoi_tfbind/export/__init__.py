"""Results for other programs: tfmodisco-lite, and genome browsers.

Imports results and genomes, never a model; the commands import it.
"""

from kipoi_tfbind.export.bed import export_bed
from kipoi_tfbind.export.modisco import export_modisco
from kipoi_tfbind.export.table import export_table
from kipoi_tfbind.export.tracks import export_bedgraph, export_bigwig

__all__ = ["export_bed", "export_bedgraph", "export_bigwig", "export_modisco", "export_table"]
