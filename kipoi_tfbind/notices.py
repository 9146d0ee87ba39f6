"""One-line notices to the user, on stderr."""

import sys


def notice(message: str) -> None:
    """Tell the user something that the result depends on.

    Not through logging: Kipoi's configuration drops what any other package logs below CRITICAL.

    Examples
    --------
    >>> notice("variants.vcf: 44 of 47 alleles are scored")
    """
    print(f"kipoi_tfbind: {message}", file=sys.stderr)
