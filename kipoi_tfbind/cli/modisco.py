"""``kipoi tfbind modisco``."""

import click

from kipoi_tfbind.cli._command import command as new_command
from kipoi_tfbind.cli._options import RESULT_OUTPUT, TARGET
from kipoi_tfbind.cli._output import say


@new_command(short_help="Find patterns of contributions, by TF-MoDISco.")
@click.argument("result", type=click.Path())
@RESULT_OUTPUT
@TARGET
@click.option("--max-seqlets", default=20_000, show_default=True, help="Of each sign.")
@click.option("--meme", type=click.Path(), help="Write the patterns in MEME format, too.")
@click.option("--no-match", is_flag=True, help="Do not look for known motifs that they are like.")
def command(
    result: str, output: str, target: str, max_seqlets: int, meme: str | None, no_match: bool
) -> None:
    """Find the patterns that the contributions in RESULT have in common, by TF-MoDISco, and name them.

    RESULT is a file of deepshap, gradients or ism. The patterns are motifs for hits, match and gia.

    \b
    Example:
      kipoi tfbind modisco deepshap.nc --targets CTCF -o modisco.nc
      kipoi tfbind hits deepshap.nc --null null.nc --motifs modisco.nc -o hits.bed
    """  # noqa: D301 (click marks a paragraph to be left as it is with a backspace)
    from kipoi_tfbind.interpret.find_patterns import find_patterns
    from kipoi_tfbind.interpret.match_patterns import match_patterns
    from kipoi_tfbind.motifs.collect import collect_motifs
    from kipoi_tfbind.motifs.meme import write_meme
    from kipoi_tfbind.results.files import check_writable, save_result
    from kipoi_tfbind.results.view import probability

    check_writable(output)
    which = int(target) if target.isdecimal() else target
    found = find_patterns(result, target=which, max_seqlets=max_seqlets)
    if not no_match:
        found = match_patterns(found)
    save_result(found, output)
    if meme:
        write_meme(collect_motifs(found), meme)
    for i, name in enumerate(found["motif"].values):
        label = "" if no_match else f"\t{found['match_name'].values[i, 0]}"
        q = "" if no_match else f"\t{probability(float(found['match_q_value'].values[i, 0]))}"
        say(f"{name}\t{int(found['n_motif_sites'].values[i])}{label}{q}")
