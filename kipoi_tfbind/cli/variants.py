"""``kipoi tfbind variants``."""

from typing import Any

import click

from kipoi_tfbind.cli._command import INPUT, option
from kipoi_tfbind.cli._command import command as new_command
from kipoi_tfbind.cli._method_options import path_option, seed_option
from kipoi_tfbind.cli._options import (
    COMPUTING_OPTIONS,
    INTERVALS,
    LENGTH,
    MODEL_OPTIONS,
    REGIONS,
    RESTART,
    with_options,
)
from kipoi_tfbind.cli._output import say
from kipoi_tfbind.cli._shards import SHARD

_VARIANT_OPTIONS = (
    option("--vcf", help="VCF (plain, gzip, bgzip), BCF, or - for standard input."),
    option("--all-snvs", is_flag=True, help="Every SNV of --intervals or --region, instead of a VCF."),
    INTERVALS,
    REGIONS,
    option(
        "--fasta", required=True, type=click.Path(), help="Genome that the VCF refers to, FASTA or bgzip."
    ),
    LENGTH,
    option(
        "--indel-anchors",
        type=click.Choice(["left", "right", "both"]),
        default="both",
        show_default=True,
        help="Flank of an indel that stays in place; both: the mean of both, and of windows in between.",
    ),
    option(
        "--shifts",
        default=0,
        show_default=True,
        type=click.IntRange(min=0),
        help="Average over windows moved by 1 to N bases to either side.",
    ),
    option(
        "--profile-bins",
        type=click.IntRange(min=1),
        help="Positions of the profile that the targets are: indels are compared base for base.",
    ),
    option("--scores", multiple=True, metavar="NAME", help="Score to write; may be repeated."),
    option("--sample", metavar="NAME", help="Score its phased alleles on their own haplotypes, too."),
    option(
        "--null",
        type=click.IntRange(min=20),
        metavar="N",
        help="Compare effects with N null variants of their class, or N shuffles of each variant's window.",
    ),
    option("--null-regions", type=click.Path(), section=INPUT, help="BED that null variants are drawn from."),
    option("--peaks", type=click.Path(), help="Real sites that predictions are compared with, too."),
    seed_option("Of the null variants."),
    option(
        "--explain",
        type=click.Choice(["deepshap", "ism"]),
        help="Explain the strongest alleles: contributions of both, and the motif that changes.",
    ),
    option("--top", default=20, show_default=True, help="Number of alleles to explain."),
    option("--explained", type=click.Path(), help="Explanations, netCDF-4; for plot and report."),
    option("--prefix", default="TFB", show_default=True, help="What the keys in INFO begin with."),
    option(
        "--on-ref-mismatch",
        type=click.Choice(["skip", "error"]),
        default="skip",
        show_default=True,
        help="What to do of a REF that the FASTA has not; more than half of them are always an error.",
    ),
    option("--skip-missing", is_flag=True, help="Pass over records on contigs that the FASTA has not."),
    path_option(
        "Compute of a substitution only what it changes (exact), or predict every window as a whole."
    ),
    option("--batch-size", default=128, show_default=True, help="Windows that the model gets at once."),
    option(
        "-o",
        "--output",
        required=True,
        multiple=True,
        help="File to write; may be repeated: .vcf, .vcf.gz, .tsv, .tsv.gz, .parquet, .nc; - for standard "
        "output.",
    ),
)


@new_command(short_help="Variant effects: the predictions for both alleles of a VCF.")
@with_options(MODEL_OPTIONS, _VARIANT_OPTIONS, COMPUTING_OPTIONS, RESTART, SHARD)
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
      kipoi tfbind variants model_zoo/TFBind/CTCF --source dir \\
          --all-snvs --intervals peaks.bed --fasta hg19.fa -o atlas.vcf.gz
      kipoi tfbind variants model_zoo/TFBind/CTCF --source dir --vcf in.vcf.gz --fasta hg19.fa \\
          -o out.vcf.gz --explain deepshap --top 20 --explained why.nc
      kipoi tfbind report why.nc -o why.html
    """  # noqa: D301 (click marks a paragraph to be left as it is with a backspace)
    from kipoi_tfbind.cli._interpret import load_models
    from kipoi_tfbind.errors import InputError
    from kipoi_tfbind.genome.all_snvs import AllSnvs
    from kipoi_tfbind.genome.reference import Genome
    from kipoi_tfbind.genome.regions import parse_regions
    from kipoi_tfbind.interpret.variants.evaluate import VariantOptions
    from kipoi_tfbind.interpret.variants.explain import explain_variants
    from kipoi_tfbind.interpret.variants.scores import check_scores
    from kipoi_tfbind.interpret.variants.write import NullOptions, write_variant_effects
    from kipoi_tfbind.results.files import save_result
    from kipoi_tfbind.results.variant_outputs import check_outputs

    names = {"vcf": "--vcf", "all_snvs": "--all-snvs", "intervals": "--intervals", "regions": "--region"}
    given = [option for name, option in names.items() if options[name]]
    if given not in (["--vcf"], ["--all-snvs", "--intervals"], ["--all-snvs", "--region"]):
        raise InputError(
            "variants: expected --vcf alone, or --all-snvs with --intervals or --region; got "
            f"{', '.join(given) or 'none of them'}; `bcftools view -r` takes a region out of a VCF"
        )
    if options["explain"] and options["shard"]:
        raise InputError("--shard: the strongest alleles (--explain) are known when all are scored")
    if bool(options["explain"]) != bool(options["explained"]):
        raise InputError("variants: --explain METHOD and --explained FILE.nc go together")
    check_outputs([*options["output"], *filter(None, [options["explained"]])])
    if options["scores"]:
        check_scores(options["scores"])
    genome = Genome(options["fasta"])
    places = options["intervals"] or (parse_regions(options["regions"]) if options["regions"] else None)
    source = AllSnvs(genome, places) if places is not None else options["vcf"]
    model, _ = load_models(options, with_dataloader=False)
    settings = VariantOptions(
        length=options["length"],
        indel_anchors=options["indel_anchors"],
        shifts=options["shifts"],
        on_ref_mismatch=options["on_ref_mismatch"],
        skip_missing=options["skip_missing"],
        path=options["path"],
        batch_size=options["batch_size"],
        profile_bins=options["profile_bins"],
    )
    nulls = None
    if options["null"] is not None:
        nulls = NullOptions(options["null"], options["null_regions"], options["peaks"], options["seed"])
    elif options["null_regions"] or options["peaks"]:
        raise InputError("variants: --null-regions and --peaks need --null N")
    done = write_variant_effects(
        model,
        source,
        genome,
        options["output"],
        options=settings,
        scores=options["scores"] or None,
        sample=options["sample"],
        nulls=nulls,
        top=options["top"] if options["explain"] else 0,
        prefix=options["prefix"],
        shard=options["shard"],
        restart=options["restart"],
    )
    if options["explain"]:
        found = explain_variants(
            done.model, done.top, genome, method=options["explain"], length=options["length"]
        )
        save_result(found, options["explained"])
    reasons = ", ".join(f"{n} {reason}" for reason, n in done.reasons.items())
    say(
        f"{', '.join(options['output'])}: {done.tallies['scored']} of {done.tallies['alleles']} alleles are "
        f"scored{'; not scored: ' + reasons if reasons else ''}",
        err=True,
    )
