"""``kipoi tfbind variants``."""

from typing import Any

import click

from kipoi_tfbind.cli._interpret import MODEL_OPTIONS, OUTPUT_OPTIONS, RESTART, with_options

_VARIANT_OPTIONS = (
    click.option("--vcf", required=True, help="VCF (plain, gzip, bgzip), BCF, or - for standard input."),
    click.option(
        "--fasta", required=True, type=click.Path(), help="Genome that the VCF refers to, FASTA or bgzip."
    ),
    click.option(
        "--length", type=click.IntRange(min=1), help="Length of the windows.  [default: the model's]"
    ),
    click.option(
        "--indel-anchors",
        type=click.Choice(["left", "right", "both"]),
        default="both",
        show_default=True,
        help="Flank of an indel that stays in place; both: the mean of both, and of windows in between.",
    ),
    click.option(
        "--shifts",
        default=0,
        show_default=True,
        type=click.IntRange(min=0),
        help="Average over windows moved by 1 to N bases to either side.",
    ),
    click.option("--scores", multiple=True, metavar="NAME", help="Score to write; may be repeated."),
    click.option("--prefix", default="TFB", show_default=True, help="What the keys in INFO begin with."),
    click.option(
        "--on-ref-mismatch",
        type=click.Choice(["skip", "error"]),
        default="skip",
        show_default=True,
        help="What to do of a REF that the FASTA has not; more than half of them are always an error.",
    ),
    click.option("--skip-missing", is_flag=True, help="Pass over records on contigs that the FASTA has not."),
    click.option(
        "--path",
        type=click.Choice(["auto", "incremental", "full"]),
        default="auto",
        show_default=True,
        help="Compute of a substitution only what it changes (exact), or predict every window as a whole.",
    ),
    click.option("--batch-size", default=128, show_default=True, help="Windows that the model gets at once."),
    click.option(
        "-o",
        "--output",
        required=True,
        multiple=True,
        help="File to write; may be repeated: .vcf, .vcf.gz, .tsv, .tsv.gz, .parquet, .nc; - for standard "
        "output.",
    ),
)
# Those of every method but its batch size and its one output, which are above.
_MODEL_OUTPUT = OUTPUT_OPTIONS[:-2]


@click.command(short_help="Variant effects: the predictions for both alleles of a VCF.")
@lambda command: with_options(command, (*MODEL_OPTIONS, *_VARIANT_OPTIONS, *_MODEL_OUTPUT, RESTART))
def command(**options: Any) -> None:
    """Variant effects: the predictions for both alleles of a VCF.

    The scores are added to the INFO of the VCF, whose lines stay as they are otherwise; what cannot be scored
    passes through, with the reason (STATUS). Alleles are normalised against the FASTA, so that every spelling
    of a haplotype has the same score. Several MODELs are an ensemble. A run that was interrupted goes on when
    the same command is given again.

    \b
    Example:
      kipoi tfbind variants model_zoo/TFBind/CTCF --source dir \\
          --vcf in.vcf.gz --fasta hg19.fa -o out.vcf.gz -o out.tsv
    """  # noqa: D301 (click marks a paragraph to be left as it is with a backspace)
    from kipoi_tfbind.cli._interpret import load_models
    from kipoi_tfbind.interpret.variants.evaluate import VariantOptions
    from kipoi_tfbind.interpret.variants.scores import check_scores
    from kipoi_tfbind.interpret.variants.write import write_variant_effects
    from kipoi_tfbind.results.variant_files import check_outputs

    check_outputs(options["output"])
    if options["scores"]:
        check_scores(options["scores"])
    model, _ = load_models(options, with_dataloader=False)
    settings = VariantOptions(
        length=options["length"],
        indel_anchors=options["indel_anchors"],
        shifts=options["shifts"],
        on_ref_mismatch=options["on_ref_mismatch"],
        skip_missing=options["skip_missing"],
        path=options["path"],
        batch_size=options["batch_size"],
    )
    done = write_variant_effects(
        model,
        options["vcf"],
        options["fasta"],
        options["output"],
        options=settings,
        scores=options["scores"] or None,
        prefix=options["prefix"],
        restart=options["restart"],
    )
    reasons = ", ".join(f"{n} {reason}" for reason, n in done.reasons.items())
    click.echo(
        f"{', '.join(options['output'])}: {done.tallies['scored']} of {done.tallies['alleles']} alleles are "
        f"scored{'; not scored: ' + reasons if reasons else ''}",
        err=True,
    )
