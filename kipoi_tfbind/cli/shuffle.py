"""``kipoi tfbind shuffle``."""

import click

from kipoi_tfbind.cli._command import command as new_command
from kipoi_tfbind.cli._method_options import seed_option
from kipoi_tfbind.cli._options import output_option
from kipoi_tfbind.cli._output import file_or_standard_output, say


@new_command(short_help="Write shuffled sequences, of which a null is made.")
@click.argument("sequences", type=click.Path())
@output_option("FASTA to write; - for standard output.")
@click.option(
    "-n", "--number", type=click.IntRange(min=1), default=1, show_default=True, help="Of each sequence."
)
@click.option(
    "--method",
    default="dinucleotide_shuffle",
    show_default=True,
    help="dinucleotide_shuffle, mononucleotide_shuffle or klet_shuffle:K.",
)
@seed_option()
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
    with (
        file_or_standard_output(output, ".fa") as path,
        whole_file(path) as partial,
        open(partial, "w", encoding="ascii", newline="\n") as file,
    ):
        for piece in pieces:
            shuffled = shuffled_sequences(piece, number, method=method, seed=seed)
            for name, text in zip(
                shuffled["id"].values, decode_one_hot(shuffled["one_hot"].values), strict=True
            ):
                file.write(f">{'_'.join(str(name).split())}\n{text}\n")
                n += 1
    say(f"{output}: {n} sequences")
