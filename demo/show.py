"""Show the most telling rows and columns of a table that ``kipoi predict`` wrote."""

import sys

import pandas as pd

ROWS = 10


def variants(table: pd.DataFrame) -> str:
    """Return the variants that change CTCF most: log-odds of binding by allele, and their difference."""
    variant = "metadata/variant/"
    shown = pd.DataFrame(
        {
            "chrom": table[f"{variant}chrom"],
            "pos": table[f"{variant}pos"].map("{:,}".format),
            "id": table[f"{variant}id"],
            "ref": table[f"{variant}ref"],
            "alt": table[f"{variant}alt"],
            "CTCF ref": table["preds/ref/CTCF"].map("{:.2f}".format),
            "CTCF alt": table["preds/alt/CTCF"].map("{:.2f}".format),
            "difference": table["preds/difference/CTCF"].map("{:+.2f}".format),
        }
    )
    order = table["preds/difference/CTCF"].abs().sort_values(ascending=False).index
    title = f"The {ROWS} of {len(table)} alleles that change CTCF most (log-odds of binding):"
    return f"{title}\n\n{shown.loc[order[:ROWS]].to_string(index=False)}"


def intervals(table: pd.DataFrame) -> str:
    """Return the first intervals: the probability of binding of CTCF and some other factors."""
    ranges = "metadata/ranges/"
    shown = pd.DataFrame(
        {
            "chrom": table[f"{ranges}chr"],
            "start": table[f"{ranges}start"].map("{:,}".format),
            "end": table[f"{ranges}end"].map("{:,}".format),
            "id": table[f"{ranges}id"],
            **{
                name: table[f"preds/{name}"].map("{:.3f}".format)
                for name in ("CTCF", "ZNF143", "FOXA1", "MAX")
            },
        }
    )
    n_factors = sum(name.startswith("preds/") for name in table)
    title = f"{ROWS} of {len(table)} windows, 4 of {n_factors} factors (probability of binding):"
    return f"{title}\n\n{shown.head(ROWS).to_string(index=False)}"


if __name__ == "__main__":
    what, path = sys.argv[1:]
    show = {"variants": variants, "intervals": intervals}[what]
    print(f"\n{show(pd.read_table(path))}\n\nAll of them are in {path}.")
