"""``kipoi tfbind ism``."""

import click


@click.command(short_help="In-silico mutagenesis: the effect of every substitution.")
@click.argument("model")
@click.option(
    "--source", default="kipoi", show_default=True, help="Kipoi's model source; dir: MODEL is a folder."
)
@click.option("--fasta", required=True, type=click.Path(), help="Genome, FASTA or bgzipped FASTA.")
@click.option("--intervals", required=True, type=click.Path(), help="Intervals to read, BED or narrowPeak.")
@click.option(
    "--length",
    type=click.IntRange(min=1),
    help="Length of the windows, centred on the summit or middle.  [default: the model's]",
)
@click.option(
    "--targets", multiple=True, metavar="NAME", help="Only this target; may be repeated.  [default: all]"
)
@click.option(
    "--start", default=0, show_default=True, help="First position to mutate in each window, 0-based."
)
@click.option("--end", type=int, help="Position to stop before.  [default: the window's end]")
@click.option("--batch-size", default=256, show_default=True, help="Mutants that are predicted at once.")
@click.option(
    "-o", "--output", required=True, type=click.Path(), help="Result to write, netCDF-4 (.nc, .h5)."
)
def command(
    model: str,
    source: str,
    fasta: str,
    intervals: str,
    length: int | None,
    targets: tuple[str, ...],
    start: int,
    end: int | None,
    batch_size: int,
    output: str,
) -> None:
    """In-silico mutagenesis: the effect of every substitution on MODEL's prediction.

    \b
    Example:
      kipoi tfbind ism model_zoo/TFBind/CTCF --source dir \\
          --fasta genome.fa --intervals peaks.narrowPeak -o ism.nc
      kipoi tfbind plot ism.nc -o ism.png
    """  # noqa: D301 (click marks a paragraph to be left as it is with a backspace)
    from kipoi_tfbind.interpret import in_silico_mutagenesis
    from kipoi_tfbind.io import check_writable, save_result
    from kipoi_tfbind.model import load_model
    from kipoi_tfbind.sequences import read_sequences

    check_writable(output)
    sequence_model = load_model(model, source=source)
    if targets:
        sequence_model = sequence_model.select_targets(targets)
    sequences = read_sequences(fasta, intervals, length=length or sequence_model.length)
    result = in_silico_mutagenesis(sequence_model, sequences, start=start, end=end, batch_size=batch_size)
    save_result(result, output)
    sizes = (f"{name}s: {result.sizes[name]}" for name in ("sequence", "position", "target"))
    click.echo(f"{output}: effects of all substitutions; {', '.join(sizes)}")
