"""``kipoi tfbind filters``."""

from typing import Any

import click

from kipoi_tfbind.cli._command import command as new_command
from kipoi_tfbind.cli._options import (
    MODEL_OPTIONS,
    RESULT_OUTPUT,
    RUNNING_OPTIONS,
    SEQUENCE_OPTIONS,
    with_options,
)
from kipoi_tfbind.cli._output import say
from kipoi_tfbind.cli._shards import SHARD


@new_command(short_help="Motifs of a layer's filters, their names and importance.")
@with_options(MODEL_OPTIONS, SEQUENCE_OPTIONS, RESULT_OUTPUT, RUNNING_OPTIONS, SHARD)
@click.option("--layer", metavar="NAME", help="A convolution layer; ? lists them.  [default: the first]")
@click.option(
    "--sites",
    type=click.Choice(["fraction", "quantile", "maximum"]),
    default="fraction",
    show_default=True,
    help="Sites of a filter: above a fraction of its largest activation, above a quantile, or the largest of "
    "each sequence.",
)
@click.option(
    "--threshold",
    type=float,
    help="The fraction, or the quantile.  [default: a fraction of 0.2 where the activation is exponential, "
    "else 0.5; the quantile 0.9995]",
)
@click.option("--no-importance", is_flag=True, help="Do not predict with each filter silenced.")
@click.option("--database", default="JASPAR", show_default=True, help="Known motifs: JASPAR or a MEME file.")
@click.option("--meme", type=click.Path(), help="Write the motifs in MEME format, too.")
def command(
    layer: str | None,
    sites: str,
    threshold: float | None,
    no_importance: bool,
    database: str,
    meme: str | None,
    **options: Any,
) -> None:
    """Motifs of the filters of a convolution layer: sites, importance, known motifs that they are like.

    The result has the matches; filters with permuted weights go through the same matching, and their share of
    matches at q < 0.05 is in the result as false_match_rate.

    \b
    Example:
      kipoi tfbind filters model_zoo/TFBind/CTCF-single --source dir --fasta genome.fa \\
          --intervals peaks.narrowPeak -o filters.nc
      kipoi tfbind plot filters.nc -o filters.png
    """  # noqa: D301 (click marks a paragraph to be left as it is with a backspace)
    from collections.abc import Iterator

    import xarray as xr

    from kipoi_tfbind.cli._interpret import load_models, sequence_chunks, source_of_sequences
    from kipoi_tfbind.errors import InputError
    from kipoi_tfbind.interpret.filter_motifs import filter_motifs
    from kipoi_tfbind.interpret.match_filters import match_filters
    from kipoi_tfbind.motifs.collect import collect_motifs
    from kipoi_tfbind.motifs.meme import write_meme
    from kipoi_tfbind.results.files import check_writable, save_result

    check_writable(options["output"])
    if meme and options["shard"] is not None:
        raise InputError("--meme: is made of the whole result; leave it out of shards")
    source = source_of_sequences(options)
    model, dataloader = load_models(options, with_dataloader=source == "dataloader_args")

    def sequences() -> Iterator[xr.Dataset]:
        return sequence_chunks(source, options, model, dataloader, 1024)

    found = filter_motifs(
        model,
        sequences,
        layer=layer,
        sites=sites,  # type: ignore[arg-type]
        threshold=threshold,
        importance=not no_importance,
        shard=options["shard"],
        batch_size=options["batch_size"],
    )
    shard = options["shard"]
    if shard is None or shard.number == 1:
        found = match_filters(found, sequences, database)
    save_result(found, options["output"])
    if shard is not None:
        say(f"{options['output']}: shard {shard} of {found.sizes['motif']} filters")
        return
    if meme:
        motifs = collect_motifs(found)
        counts = dict(
            zip(found["motif"].values.tolist(), found["n_motif_sites"].values.tolist(), strict=True)
        )
        write_meme(motifs, meme, n_sites=counts)
    dead = int(found["is_dead"].values.sum())
    named = int((found["match_q_value"].isel(rank=0).values < 0.05).sum())
    say(
        f"{options['output']}: {found.sizes['motif']} filters of {found.attrs['layer']}; dead: {dead}, like "
        f"a known motif: {named}; of permuted ones: {found.attrs['false_match_rate']:.1%}"
    )
