"""``kipoi tfbind shuffle``."""

import click


@click.command(short_help="Write shuffled sequences, of which a null is made.")
@click.argument("sequences", type=click.Path())
@click.option("-o", "--output", required=True, type=click.Path(), help="FASTA to write.")
@click.option(
    "-n", "--number", type=click.IntRange(min=1), default=1, show_default=True, help="Of each sequence."
)
@click.option(
    "--method",
    default="dinucleotide_shuffle",
    show_default=True,
    help="dinucleotide_shuffle, mononucleotide_shuffle or klet_shuffle:K.",
)
@click.option("--seed", type=click.IntRange(min=0), default=0, show_default=True)
def command(sequences: str, output: str, number: int, method: str, seed: int) -> None:
    """Shuffle each of SEQUENCES: a result (.nc, .h5), or a FASTA.

    \b
    Example:
      kipoi tfbind shuffle deepshap.nc -o null.fa
      kipoi tfbind deepshap MODEL --sequences null.fa -o null.nc
    """  # noqa: D301 (click marks a paragraph to be left as it is with a backspace)
    from kipoi_tfbind.dna.one_hot import decode_one_hot
    from kipoi_tfbind.results.files import iterate_result, whole_file
    from kipoi_tfbind.sequences.read import iterate_fasta
    from kipoi_tfbind.sequences.shuffled import shuffled_sequences

    n = 0
    is_result = sequences.endswith((".nc", ".h5"))
    pieces = iterate_result(sequences) if is_result else iterate_fasta(sequences, chunk=256)
    with whole_file(output) as partial, open(partial, "w", encoding="ascii", newline="\n") as file:
        for piece in pieces:
            shuffled = shuffled_sequences(piece, number, method=method, seed=seed)
            for name, text in zip(
                shuffled["id"].values, decode_one_hot(shuffled["one_hot"].values), strict=True
            ):
                file.write(f">{'_'.join(str(name).split())}\n{text}\n")
                n += 1
    click.echo(f"{output}: {n} sequences")
