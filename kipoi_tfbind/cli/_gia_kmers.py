"""All k-mers, some at a time, into a result file."""

from __future__ import annotations

from typing import Any

from kipoi_tfbind.cli._gia import analysis_options, check_output, model_and_backgrounds
from kipoi_tfbind.cli._gia_summary import report
from kipoi_tfbind.cli._interpret import PIECE_BYTES

_MOST_KMERS = 512  # in a piece of a result


def run_kmers(k: int, offset: int | None, options: dict[str, Any]) -> None:
    """Run all k-mers, some at a time, into a result file."""
    from tqdm import tqdm

    from kipoi_tfbind.interpret import kmer_importance
    from kipoi_tfbind.interpret.global_importance._analyse import METHOD, add_corrected, content_hash
    from kipoi_tfbind.results.append import open_for_append
    from kipoi_tfbind.results.files import open_result

    check_output(options)
    model, backgrounds = model_and_backgrounds(options)
    chosen = analysis_options(options)
    n, n_backgrounds, n_targets = 4**k, backgrounds.sizes["sequence"], len(model.target_names)
    piece = max(1, min(_MOST_KMERS, PIECE_BYTES // (n_backgrounds * n_targets * 16)))
    attributes = {
        "method": METHOD,
        "experiment": "kmers",
        "model": model.name,
        "model_hash": model.fingerprint,
        "output": model.output,
        "k": k,
        "background_hash": content_hash(backgrounds),
        **{name: chosen[name] for name in ("confidence", "n_resamples", "seed")},
    }
    with (
        open_for_append(
            options["output"],
            attributes,
            restart=options["restart"],
            dimension="pattern",
            complete=add_corrected,
        ) as out,
        tqdm(total=n, desc="k-mers", initial=out.n_finished, disable=None, delay=1) as progress,
    ):
        for first in range(out.n_finished, n, piece):
            last = min(first + piece, n)
            part = kmer_importance(
                model, backgrounds, k, start=first, end=last, offset=offset, corrected=False, **chosen
            )
            out.append(part)
            progress.update(last - first)
    with open_result(options["output"], lazy=True) as result:
        report(result, options)
