"""Habits that users have of other command lines: names, lists, regions, pipes, more and fewer words."""

from __future__ import annotations

import json
import os
import pty
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import click
import numpy as np
import pytest
import xarray as xr
from click.testing import CliRunner, Result

import kipoi_tfbind as tfb
from kipoi_tfbind.cli import _options, main
from kipoi_tfbind.cli._command import SECTIONS, Command, Option
from tests import foreign_models as foreign
from tests.cli.test_gia import DESCRIPTION, LENGTH, MODEL


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A model that counts motifs, a genome, and sequences."""
    folder = tmp_path_factory.mktemp("habits")
    (folder / "counter").mkdir()
    (folder / "counter" / "model.py").write_text(MODEL)
    (folder / "counter" / "model.yaml").write_text(DESCRIPTION)
    rng = np.random.default_rng(1)
    contig = "".join(rng.choice(list("ACGT"), size=2000))
    (folder / "genome.fa").write_text(f">chr20\n{contig}\n")
    (folder / "sites.fa").write_text(
        "".join(f">s{row}\n{contig[row * LENGTH :][:LENGTH]}\n" for row in range(4))
    )
    return folder


@pytest.fixture(autouse=True)
def _in_folder(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(folder)


def run(*arguments: str, stdin: str | bytes | None = None) -> Result:
    return CliRunner().invoke(main, arguments, input=stdin)


def occlusion(*arguments: str, stdin: str | bytes | None = None, output: str = "out.nc") -> Result:
    return run("occlusion", "counter", *arguments, "-o", output, stdin=stdin)


SITES = ("--sequences", "sites.fa")


def all_commands() -> Iterator[tuple[str, click.Command]]:
    context = click.Context(main)
    for name in main.list_commands(context):
        command = main.get_command(context, name)
        if isinstance(command, click.Group):
            for inner in command.list_commands(context):
                found = command.get_command(context, inner)
                assert found is not None
                yield f"{name} {inner}", found
        else:
            assert command is not None
            yield name, command


COMMANDS = dict(all_commands())
OF_MODELS = [name for name, each in COMMANDS.items() if {"model", "source"} <= {p.name for p in each.params}]
LONG = [*OF_MODELS, "train", "evaluate", "ensemble", "distill", "compare"]


@pytest.mark.parametrize("name", COMMANDS)
def test_help_is_in_sections(name: str) -> None:
    command = COMMANDS[name]
    assert isinstance(command, Command)
    ran = run(*name.split(), "--help")
    assert ran.exit_code == 0
    titles = re.findall(r"^(\w+):$", ran.stdout, re.MULTILINE)
    known = [title for title in titles if title in (*SECTIONS, "Options")]
    order = ["Model", "Input", "Method", "Options", "Output", "Running"]
    assert known == sorted(known, key=order.index)
    assert set(OF_MODELS) >= {"ism", "gia effect", "variants"}
    if name in OF_MODELS:
        assert {"Model", "Input", "Output", "Running"} <= set(known)
    # One thing has one name; other spellings are taken without being shown.
    assert "--target " not in ran.stdout
    assert "--quiet" in ran.stdout
    assert "--verbose" in ran.stdout
    assert ("--threads" in ran.stdout) == (name in LONG)
    spellings = [
        spelling
        for parameter in command.params
        for spelling in (*parameter.opts, *getattr(parameter, "aliases", ()))
        if isinstance(parameter, Option)
    ]
    assert len(spellings) == len(set(spellings))


def test_targets_are_lists_names_and_indices() -> None:
    for given in (["--targets", "G,GATA1"], ["--targets", "G", "--target", "GATA1"], ["--targets", "1,0"]):
        ran = occlusion(*SITES, *given)
        assert ran.exit_code == 0, ran.output
        assert tfb.open_result("out.nc")["target"].values.tolist() == ["G", "GATA1"]
    ran = occlusion(*SITES, "--targets", "G,U")
    assert (ran.exit_code, ran.stderr.count("\n")) == (1, 1)
    assert "no target 'U'" in ran.stderr
    occlusion(*SITES)
    for spelling in ("--target", "--targets"):
        assert run("plot", "out.nc", spelling, "GATA1", "-o", "a.png").exit_code == 0
    assert run("report", "out.nc", "--targets", "G,GATA1", "-o", "a.html").exit_code == 0


def test_regions_are_those_of_a_browser() -> None:
    (Path("region.bed")).write_text("chr20\t117\t298\nchr20\t899\t1000\tb\t0\t-\n")
    regions = ("--region", "chr20:118-298", "--region", "20:900-1,000 (-)")
    assert occlusion("--fasta", "genome.fa", *regions).exit_code == 0
    found = tfb.open_result("out.nc")
    assert occlusion("--fasta", "genome.fa", "--intervals", "region.bed").exit_code == 0
    expected = tfb.open_result("out.nc")
    for name in ("one_hot", "start", "end", "strand", "occlusion_effect"):
        np.testing.assert_array_equal(found[name], expected[name], err_msg=name)
    assert found["id"].values.tolist() == ["chr20:118-298", "20:900-1,000"]


@pytest.mark.parametrize(
    ("region", "problem"),
    [
        ("chr20", "expected CHROM:START-END such as chr20:118,000-119,000, got 'chr20'"),
        ("chr20:0-5", "expected 1 <= first <= last"),
        ("chr20:9-5", "expected 1 <= first <= last"),
        ("chr20:1-99999999999999999999", "expected positions in a genome"),
        ("chr20:1990-2001", "region chr20:1,990-2,001: the interval ends at 2001, the contig at 2000"),
        ("chrX:1-100", "region chrX:1-100: genome.fa: no contig 'chrX'"),
    ],
)
def test_regions_that_are_none(region: str, problem: str) -> None:
    ran = occlusion("--fasta", "genome.fa", "--region", region, output="none.nc")
    assert (ran.exit_code, ran.stderr.count("\n")) == (1, 1), ran.output
    assert problem in ran.stderr
    assert not Path("none.nc").exists()


def test_ways_to_give_sequences_exclude_each_other() -> None:
    ran = occlusion("--fasta", "genome.fa", "--region", "chr20:1-100", *SITES)
    assert "got --fasta, --region, --sequences" in ran.stderr
    assert "got --region" in occlusion("--region", "chr20:1-100").stderr


def test_standard_input() -> None:
    occlusion(*SITES)
    expected = tfb.open_result("out.nc")
    text = Path("sites.fa").read_text()
    ran = occlusion("--sequences", "-", stdin=text, output="piped.nc")
    assert ran.exit_code == 0, ran.output
    xr.testing.assert_identical(tfb.open_result("piped.nc").drop_attrs(), expected.drop_attrs())
    ran = occlusion("--fasta", "genome.fa", "--intervals", "-", stdin="chr20\t5\t9\n", output="piped.nc")
    assert ran.exit_code == 0, ran.output
    assert tfb.open_result("piped.nc")["start"].values.tolist() == [7 - LENGTH // 2]
    ran = occlusion("--sequences", "-", stdin="", output="none.nc")
    assert (ran.exit_code, ran.stderr.count("\n")) == (1, 1)
    assert "standard_input: the file is empty" in ran.stderr


def test_standard_output() -> None:
    ran = run("shuffle", "sites.fa", "-o", "-")
    assert ran.exit_code == 0, ran.output
    assert run("shuffle", "sites.fa", "-o", "shuffled.fa").exit_code == 0
    assert ran.stdout == Path("shuffled.fa").read_text()
    assert ran.stderr == "-: 4 sequences\n"
    occlusion("--fasta", "genome.fa", "--region", "chr20:500-600")
    assert (
        run("ism", "counter", "--fasta", "genome.fa", "--region", "chr20:500-600", "-o", "ism.nc").exit_code
        == 0
    )
    ran = run("export", "ism.nc", "-o", "-")
    assert run("export", "ism.nc", "-o", "ism.bedgraph").exit_code == 0
    assert ran.stdout == Path("ism.bedgraph").read_text()
    assert not Path("-").exists()
    for refused in (
        ["ism", "counter", *SITES],
        ["plot", "ism.nc"],
        ["report", "ism.nc"],
        ["modisco", "ism.nc"],
    ):
        ran = run(*refused, "-o", "-")
        assert (ran.exit_code, ran.stderr.count("\n")) == (1, 1)
        assert "expected a name that ends in" in ran.stderr
        assert not Path("-").exists()


def test_quiet_and_verbose() -> None:
    long = "".join(f">s{row}\n{'ACGT' * 30}\n" for row in range(2))
    Path("long.fa").write_text(long)
    normal = occlusion("--sequences", "long.fa")
    assert (normal.stdout, normal.stderr.count("\n")) == ("out.nc: occlusion; sequences: 2, targets: 2\n", 1)
    quiet = occlusion("--sequences", "long.fa", "--quiet")
    assert (quiet.exit_code, quiet.output) == (0, "")
    wrong = occlusion("--sequences", "none.fa", "-q")
    assert (wrong.exit_code, wrong.stderr.count("\n")) == (1, 1)
    verbose = occlusion("--sequences", "long.fa", "--verbose")
    assert verbose.stdout == normal.stdout
    assert f"of {LENGTH} bp; targets: 2 (raw); has" in verbose.stderr
    assert "path full" in verbose.stderr
    assert re.search(r"occlusion: \d+\.\d s\n", verbose.stderr)
    # And the next command has the usual number of words.
    assert occlusion("--sequences", "long.fa").stderr == normal.stderr
    assert occlusion(*SITES, "-q", "-v").exit_code == 2


def test_threads(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[int | None] = []
    monkeypatch.setattr(_options, "set_threads", asked.append)
    assert occlusion(*SITES, "--threads", "3").exit_code == 0
    assert occlusion(*SITES, "--threads", "0").exit_code == 2
    assert asked == [3]
    program = (
        "import os\n"
        "from kipoi_tfbind.backends.threads import set_threads\n"
        "set_threads(1)\n"
        "import torch\n"
        "print(torch.get_num_threads(), os.environ['TF_NUM_INTRAOP_THREADS'])\n"
        "set_threads(2)\n"
        "print(torch.get_num_threads())\n"
    )
    environment = {name: value for name, value in os.environ.items() if "NUM_THREADS" not in name}
    ran = subprocess.run(
        [sys.executable, "-c", program],
        env=environment,
        capture_output=True,
        text=True,
        timeout=300,
        check=True,
    )
    assert ran.stdout == "1 1\n2\n"


@pytest.mark.parametrize(
    ("arguments", "hint"),
    [
        (["dep-shap"], "Did you mean deepshap"),
        (["gia", "efect"], "Did you mean effect"),
        (["context"], "Did you mean gia context?"),
        (["ism", "counter", "--sequence", "a.fa"], "--sequences"),
        (["gia", "effect", "counter", "--n-background", "5"], "--n-backgrounds"),
        (["hits", "a.nc", "--motifs", "A", "-o", "a.bed"], "'--null'. Contributions of shuffled sequences"),
    ],
)
def test_did_you_mean(arguments: list[str], hint: str) -> None:
    ran = run(*arguments)
    assert ran.exit_code == 2
    assert hint in ran.stderr


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        ("de", {"deep-feature-interaction", "deepshap", "design"}),
        ("gia eff", {"effect"}),
        ("ism --outp", {"--output", "--output-kind", "--output-position"}),
        ("ism --path ", {"auto", "incremental", "full"}),
    ],
)
def test_completion_in_the_shell(words: str, expected: set[str]) -> None:
    context = {"COMP_WORDS": f"kipoi-tfbind {words}", "COMP_CWORD": str(len(words.split(" ")))}
    ran = CliRunner(env=context | {"_KIPOI_TFBIND_COMPLETE": "bash_complete"}).invoke(
        main, prog_name="kipoi-tfbind", complete_var="_KIPOI_TFBIND_COMPLETE"
    )
    assert {line.removeprefix("plain,") for line in ran.stdout.splitlines()} == expected


def test_other_spellings() -> None:
    backgrounds = ("--background", "uniform", "--n-references", "20")
    ran = run("gia", "effect", "counter", "--motif", "GATAAG", *backgrounds, "-o", "effect.nc")
    assert ran.exit_code == 0, ran.output
    result = tfb.open_result("effect.nc")
    assert (result.attrs["background"], result.sizes["background"]) == ("uniform", 20)
    options = ("--backgrounds", "random", "--n-backgrounds", "3")
    ran = run("sampled-shapley", "counter", *SITES, *options, "-o", "shapley.nc")
    assert ran.exit_code == 0, ran.output
    attributes = tfb.open_result("shapley.nc").attrs
    assert (attributes["references"], attributes["n_references"]) == ("random", 3)


# Commands, one after the other; what takes no second is shown too.
PROGRAM = """
import json, sys
from kipoi_tfbind import notices
from kipoi_tfbind.cli import _options, main
notices._DELAY_SECONDS = 0
for command in json.loads(sys.argv[1]):
    print("command", *command, file=sys.stderr)
    try:
        main(command)
    except SystemExit as end:
        if end.code:
            raise
"""
SLOW_MODEL = MODEL.replace(
    "    def predict_on_batch(self, x):\n",
    "    def predict_on_batch(self, x):\n        import time\n        time.sleep(0.11)\n",
)
# Share, number of all, and the time that is left.
BAR = re.compile(r"\d+%\|[^|]*\| \d+/\d+ \[\d\d:\d\d<\d\d:\d\d")


def at_a_terminal(commands: list[list[str]]) -> list[str]:
    """What commands show at a terminal that does not tell its size."""
    pid, descriptor = pty.fork()
    if pid == 0:  # pragma: no cover
        os.execv(sys.executable, [sys.executable, "-c", PROGRAM, json.dumps(commands)])
    seen = b""
    while True:
        try:
            chunk = os.read(descriptor, 65536)
        except OSError:
            break
        if not chunk:
            break
        seen += chunk
    assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 0, seen.decode()
    return seen.decode().split("\ncommand ")


def test_progress_is_seen_at_a_terminal() -> None:
    Path("slow").mkdir()
    Path("slow/model.py").write_text(SLOW_MODEL)
    Path("slow/model.yaml").write_text(DESCRIPTION)
    Path("torch").mkdir()
    foreign.FOREIGN_MODELS["torch"].build(Path("torch").absolute())
    Path("short.fa").write_text("".join(f">s{i}\n{'ACGTT' * 12}\n" for i in range(4)))
    backgrounds = ["--backgrounds", "uniform", "--n-backgrounds", "40"]
    slow = ["slow", "--batch-size", "20", "-o", "slow.nc"]
    commands = [
        ["ism", *slow, *SITES, "--end", "20"],
        ["gia", "effect", *slow, "--motif", "GATAAG", *backgrounds],
        ["deepshap", "torch", "--sequences", "short.fa", "--batch-size", "2", "-o", "torch.nc"],
        ["ism", *slow, *SITES, "--end", "20", "--quiet"],
    ]
    *loud, quiet = at_a_terminal(commands)
    assert [shown for shown in loud if not BAR.search(shown)] == []
    assert quiet.splitlines()[1:] == []
