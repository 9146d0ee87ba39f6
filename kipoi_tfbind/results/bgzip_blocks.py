"""Text as blocks of bgzip, each compressed for itself."""

from __future__ import annotations

from pathlib import Path

import pysam

from kipoi_tfbind.genome.text_files import BGZF_END


def is_packed(path: str) -> bool:
    """Whether a file of this name is compressed.

    Examples
    --------
    >>> is_packed("a.vcf.gz"), is_packed("a.vcf")
    (True, False)
    """
    return path.lower().endswith((".gz", ".bgz"))


def packed(text: bytes, folder: Path) -> bytes:
    """Compress a text into blocks of bgzip, without the one that ends a file; needs a folder to write to."""
    scratch = folder / "block.gz"
    with pysam.BGZFile(str(scratch), "wb", None) as file:
        file.write(text)
    return scratch.read_bytes()[: -len(BGZF_END)]
