"""``kipoi tfbind gia``: every experiment from the command line, on a model that counts motifs."""

from __future__ import annotations

from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import xarray as xr
from click.testing import CliRunner, Result

import kipoi_tfbind as tfb
from kipoi_tfbind.cli import main
from kipoi_tfbind.interpret.global_importance import _analyse, kept_effects, stream_experiment

LENGTH = 80
MODEL = """
import numpy as np
from kipoi.model import BaseModel
from kipoi_tfbind.testing import motif_counter

COUNT = motif_counter("GATAAG", both_strands=True)

class Counter(BaseModel):
    def predict_on_batch(self, x):
        return np.concatenate([COUNT(x), 0.1 * x[:, :, 2].sum(axis=1, keepdims=True)], axis=1)
"""
DESCRIPTION = f"""
defined_as: model.Counter
args: {{}}
default_dataloader: .
info: {{authors: [{{name: somebody}}], doc: counts}}
schema:
  inputs:
    shape: ({LENGTH}, 4)
    doc: one-hot
  targets:
    shape: (2, )
    doc: counts
    column_labels: [GATA1, G]
"""


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("gia")
    (folder / "counter").mkdir()
    (folder / "counter" / "model.py").write_text(MODEL)
    (folder / "counter" / "model.yaml").write_text(DESCRIPTION)
    rng = np.random.default_rng(1)
    records = ["".join(rng.choice(list("ACGT"), size=LENGTH)) for _ in range(12)]
    records = [text[:30] + "GATAAG" + text[36:] if row % 2 else text for row, text in enumerate(records)]
    (folder / "sites.fa").write_text("".join(f">s{row}\n{text}\n" for row, text in enumerate(records)))
    return folder


def gia(folder: Path, *arguments: str, output: str = "out.nc") -> Result:
    command = ["gia", arguments[0], str(folder / "counter"), "--source", "dir", *arguments[1:]]
    return CliRunner().invoke(main, [*command, "-o", str(folder / output)])


UNIFORM = ("--backgrounds", "uniform", "--n-backgrounds", "40")
EXPERIMENTS: dict[str, tuple[str, ...]] = {
    "effect": ("--motif", "A=GATAAG", "--motif", "CACGTG", *UNIFORM),
    "position": ("--motif", "GATAAG", "--step", "10", *UNIFORM),
    "number": ("--motif", "GATAAG", "--max-copies", "3", *UNIFORM),
    "spacing": ("--motif", "GATAAG", "--motif", "GATAAG", "--max-distance", "9", *UNIFORM),
    "orientation": ("--motif", "GATAAG", *UNIFORM),
    "context": ("--motif", "GATAAG", "--flank-bases", "1", *UNIFORM),
    "cooperativity": ("--motif", "GATAAG", "--motif", "CACGTG", "--gaps", "2,4", *UNIFORM),
    "kmers": ("-k", "2", *UNIFORM),
    "necessity": ("--motif", "GATAAG", "--sequences", "SITES"),
    "swap": ("--start", "25", "--end", "45", "--sequences", "SITES"),
}


def located(folder: Path, arguments: tuple[str, ...]) -> list[str]:
    return [str(folder / "sites.fa") if part == "SITES" else part for part in arguments]


@pytest.mark.parametrize("experiment", EXPERIMENTS)
def test_each_experiment_writes_its_result_and_says_what_came_out(folder: Path, experiment: str) -> None:
    ran = gia(folder, experiment, *located(folder, EXPERIMENTS[experiment]), "--half-width", "0.01")
    assert ran.exit_code == 0, ran.output
    result = tfb.open_result(folder / "out.nc")
    assert f"out.nc: {experiment}; patterns: {result.sizes['pattern']}, backgrounds: " in ran.stdout
    assert "backgrounds give a half-width of" in ran.stdout
    assert "would give at most 0.01" in ran.stdout
    assert result.attrs["method"] == "global_importance_analysis"
    assert result.attrs["experiment"] == experiment
    assert result["target"].values.tolist() == ["GATA1", "G"]
    assert np.isfinite(result["importance"].values).any()


def test_commands_compute_what_the_functions_do(folder: Path) -> None:
    gia(folder, "effect", *EXPERIMENTS["effect"], "--seed", "4", "--targets", "GATA1")
    found = tfb.open_result(folder / "out.nc")
    model = tfb.load_model(str(folder / "counter"), source="dir").select_targets(["GATA1"])
    backgrounds = tfb.make_backgrounds("uniform", 40, length=LENGTH, seed=4)
    expected = tfb.motif_importance(model, backgrounds, {"A": "GATAAG", "CACGTG": "CACGTG"}, seed=4)
    for name in expected.data_vars:
        np.testing.assert_array_equal(found[name], expected[name], err_msg=str(name))


def test_patterns_and_comparisons(folder: Path) -> None:
    patterns = ("--pattern", "a=GATAAG@10", "--pattern", "ab=GATAAG@10+CACGTG@30", "--compare", "ab=a")
    ran = gia(folder, "effect", *patterns, *UNIFORM)
    assert ran.exit_code == 0, ran.output
    result = tfb.open_result(folder / "out.nc")
    assert result["insertions"].values.tolist() == ["GATAAG@10", "GATAAG@10 + CACGTG@30"]
    effect = result["pattern_effect"].values
    np.testing.assert_allclose(
        result["difference"].values[1], (effect[1] - effect[0]).mean(axis=0), rtol=1e-6
    )


@pytest.mark.parametrize("kind", ["profile", "dinucleotide_shuffle", "markov:1", "given"])
def test_backgrounds_from_sequences(folder: Path, kind: str) -> None:
    options = ("--motif", "GATAAG", "--backgrounds", kind, "--n-backgrounds", "15")
    ran = gia(folder, "effect", *options, "--sequences", str(folder / "sites.fa"))
    assert ran.exit_code == 0, ran.output
    result = tfb.open_result(folder / "out.nc")
    assert result.sizes["background"] == (12 if kind == "given" else 15)
    assert result.attrs["background"] == kind


def test_central_backgrounds(folder: Path) -> None:
    ran = gia(folder, "effect", "--motif", "GATAAG", *UNIFORM, "--targets", "G", "--central", "0.25,0.75")
    assert ran.exit_code == 0, ran.output
    result = tfb.open_result(folder / "out.nc")
    assert 18 <= result.sizes["background"] <= 35
    assert result.attrs["background_filter"] == "G between its quantiles 0.25 and 0.75"


def test_shift_warns(folder: Path) -> None:
    (folder / "g.fa").write_text("".join(f">s{i}\n{'G' * (60 + i) + 'A' * (20 - i)}\n" for i in range(12)))
    options = ("--sequences", str(folder / "g.fa"), "--n-backgrounds", "30", "--backgrounds", "uniform")
    ran = gia(folder, "shift", *options)
    assert ran.exit_code == 0, ran.output
    assert "G  100.0%" in ran.stdout
    assert tfb.open_result(folder / "out.nc")["share_outside"].values[1] == 1


def kmers(folder: Path, output: str, *more: str) -> Result:
    return gia(folder, "kmers", "-k", "3", *UNIFORM, *more, output=output)


def test_kmers_go_on_where_they_were(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from kipoi_tfbind.interpret.global_importance import kmers as module

    monkeypatch.setattr(module, "_MOST_AT_ONCE", 10)
    assert kmers(folder, "whole.nc").exit_code == 0
    done: list[str] = []
    analyse = module.analyse

    def fails(model: Any, backgrounds: Any, design: Any, *arguments: Any, **options: Any) -> xr.Dataset:
        if len(done) == 3:
            raise KeyboardInterrupt
        done.append(next(iter(design.patterns)))
        return analyse(model, backgrounds, design, *arguments, **options)

    monkeypatch.setattr(module, "analyse", fails)
    assert kmers(folder, "parts.nc").exit_code != 0
    assert not (folder / "parts.nc").exists()
    assert done == ["AAA", "AGG", "CCA"]

    def goes_on(model: Any, backgrounds: Any, design: Any, *arguments: Any, **options: Any) -> xr.Dataset:
        done.append(next(iter(design.patterns)))
        return analyse(model, backgrounds, design, *arguments, **options)

    monkeypatch.setattr(module, "analyse", goes_on)
    # Other settings are another run.
    refused = kmers(folder, "parts.nc", "--seed", "5")
    assert refused.exit_code == 1
    assert "of another run" in refused.stderr
    ran = kmers(folder, "parts.nc", "--batch-size", "64")
    assert ran.exit_code == 0, ran.output
    assert "going on after the 30 patterns" in ran.stderr
    assert done == ["AAA", "AGG", "CCA", "CTG", "GGA", "TAG", "TTA"]
    whole, parts = (tfb.open_result(folder / name) for name in ("whole.nc", "parts.nc"))
    for name in whole.variables:
        np.testing.assert_array_equal(parts[name], whole[name], err_msg=str(name))
    model = tfb.load_model(str(folder / "counter"), source="dir")
    expected = tfb.kmer_importance(model, tfb.make_backgrounds("uniform", 40, length=LENGTH), 3)
    for name in ("q_value", "rank", "difference_q_value", "importance"):
        np.testing.assert_allclose(whole[name], expected[name], rtol=1e-9, err_msg=name)
        assert whole[name].attrs["long_name"] == expected[name].attrs["long_name"]
    assert whole["pattern"].values.tolist() == expected["pattern"].values.tolist()


@pytest.mark.parametrize(("experiment", "models"), [("effect", 2), ("spacing", 1)])
def test_experiments_go_on_where_they_were(
    folder: Path, monkeypatch: pytest.MonkeyPatch, experiment: str, models: int
) -> None:
    monkeypatch.setattr(kept_effects, "_BLOCK", 15)
    name = f"{experiment}_{models}.nc"
    others = [str(folder / "counter")] * (models - 1)
    arguments = (experiment, *others, *EXPERIMENTS[experiment])
    assert gia(folder, *arguments, output="whole.nc").exit_code == 0
    effects, done = _analyse.pattern_effects, list[int]()

    def counted(path: Any, batch: Any, *rest: Any, **options: Any) -> Any:
        if len(done) == 3 * models - 1:
            raise KeyboardInterrupt
        done.append(len(batch))
        return effects(path, batch, *rest, **options)

    monkeypatch.setattr(_analyse, "pattern_effects", counted)
    ran = gia(folder, *arguments, output=name)
    assert ran.exit_code == 130
    assert "run the same command again to go on after them" in ran.stderr
    assert not (folder / name).exists()
    assert set(done) == {14}  # equal blocks, the last one filled up

    done.clear()
    refused = gia(folder, *arguments, "--seed", "5", output=name)
    assert refused.exit_code == 1
    assert "of another run" in refused.stderr
    assert "--restart" in refused.stderr
    ran = gia(folder, *arguments, "--batch-size", "64", output=name)
    assert ran.exit_code == 0, ran.output
    assert done == [14]
    whole, parts = (tfb.open_result(folder / each) for each in ("whole.nc", name))
    for each in whole.variables:
        np.testing.assert_array_equal(parts[each], whole[each], err_msg=str(each))
    assert parts.drop_vars(parts.variables).attrs.keys() == whole.attrs.keys()

    monkeypatch.setattr(_analyse, "pattern_effects", effects)
    monkeypatch.setattr(kept_effects, "_BLOCK", 256)
    again = gia(folder, *arguments, output="again.nc")
    assert again.exit_code == 0, again.output
    for each in whole.variables:
        np.testing.assert_array_equal(tfb.open_result(folder / "again.nc")[each], whole[each])


@pytest.mark.parametrize(
    ("experiment", "models", "of"),
    [(name, 1, 2) for name in EXPERIMENTS if name not in ("kmers", "necessity", "swap")] + [("effect", 2, 7)],
)
def test_shards_of_backgrounds_give_the_bytes_of_one_run(
    folder: Path, monkeypatch: pytest.MonkeyPatch, experiment: str, models: int, of: int
) -> None:
    monkeypatch.setattr(kept_effects, "_BLOCK", 15)  # 3 blocks for each model
    others = [str(folder / "counter")] * (models - 1)
    arguments = (experiment, *others, *EXPERIMENTS[experiment])
    assert gia(folder, *arguments, output="whole.nc").exit_code == 0
    parts = []
    for k in range(of, 0, -1):
        ran = gia(folder, *arguments, "--shard", f"{k}/{of}", output=f"part{k}.nc")
        assert ran.exit_code == 0, ran.output
        assert f"shard {k}/{of} of 40 backgrounds" in ran.stdout
        parts.append(str(folder / f"part{k}.nc"))
    ran = CliRunner().invoke(main, ["merge", *parts, "-o", str(folder / "merged.nc")])
    assert ran.exit_code == 0, ran.output
    assert (folder / "merged.nc").read_bytes() == (folder / "whole.nc").read_bytes()


@pytest.mark.parametrize("experiment", ["necessity", "swap", "shift"])
def test_what_leaves_nothing_to_go_on_with_refuses_to_begin_anew(folder: Path, experiment: str) -> None:
    more = ("--fasta", "a.fa", "--intervals", "a.bed") if experiment == "shift" else ()
    ran = gia(folder, experiment, *located(folder, EXPERIMENTS.get(experiment, more)), "--restart")
    assert ran.exit_code == 1
    assert f"--restart: gia {experiment} writes nothing before its end" in ran.output
    shown = CliRunner().invoke(main, ["gia", experiment, "--help"]).output
    assert "--batch-size" in shown
    assert "--restart" not in shown


@pytest.mark.skipif(find_spec("distributed") is None, reason="needs dask.distributed, which is not installed")
def test_every_experiment_on_a_cluster_gives_the_bytes_of_one_run(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One worker for all of them. It has imported what one run has: versions are in the results."""
    from distributed import Client, LocalCluster

    monkeypatch.setattr(kept_effects, "_BLOCK", 15)
    settings: dict[str, Any] = {"processes": True, "dashboard_address": None, "silence_logs": "CRITICAL"}
    with LocalCluster(n_workers=1, threads_per_worker=1, memory_limit=0, **settings) as cluster:
        address = cluster.scheduler_address

        def one_run(command: list[str]) -> None:
            kept_effects._BLOCK = 15  # of 40 backgrounds; the worker keeps it for the shards
            assert CliRunner().invoke(main, command).exit_code == 0

        with Client(cluster) as client:
            for name in (each for each in EXPERIMENTS if each not in ("necessity", "swap")):
                command = ["gia", name, str(folder / "counter"), "--source", "dir", *EXPERIMENTS[name]]
                whole, shared = (folder / f"{name}_{each}.nc" for each in ("whole", "shared"))
                client.submit(one_run, [*command, "-o", str(whole)], pure=False).result()
                ran = CliRunner().invoke(main, [*command, "-o", str(shared), "--scheduler", address])
                assert ran.exit_code == 0, ran.output
                assert "by 1 workers in 8 shards" in ran.stdout
                assert shared.read_bytes() == whole.read_bytes(), name


def test_a_shard_goes_on_and_others_are_refused(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(kept_effects, "_BLOCK", 10)
    arguments = ("effect", *EXPERIMENTS["effect"])
    assert gia(folder, *arguments, output="whole.nc").exit_code == 0
    effects, done = _analyse.pattern_effects, list[int]()

    def counted(path: Any, batch: Any, *rest: Any, **options: Any) -> Any:
        if len(done) == 1:
            raise KeyboardInterrupt
        done.append(len(batch))
        return effects(path, batch, *rest, **options)

    with monkeypatch.context() as patched:
        patched.setattr(_analyse, "pattern_effects", counted)
        assert gia(folder, *arguments, "--shard", "1/2", output="half.nc").exit_code == 130
    ran = gia(folder, *arguments, "--shard", "1/2", output="half.nc")
    assert "going on after the 10 backgrounds" in ran.stderr
    assert gia(folder, *arguments, "--shard", "2/2", "--seed", "3", output="other.nc").exit_code == 0
    names = [str(folder / name) for name in ("half.nc", "other.nc", "merged.nc")]
    refused = CliRunner().invoke(main, ["merge", *names[:2], "-o", names[2]])
    assert refused.exit_code == 1
    assert "other.nc: is shard 2/2 of another run" in refused.stderr
    assert gia(folder, *arguments, "--shard", "2/2", output="other.nc").exit_code == 0
    assert CliRunner().invoke(main, ["merge", *names[:2], "-o", names[2]]).exit_code == 0
    assert (folder / "merged.nc").read_bytes() == (folder / "whole.nc").read_bytes()


def test_restart_throws_away_what_was_done(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    arguments = ("effect", "--motif", "GATAAG", *UNIFORM)
    with monkeypatch.context() as patched:
        patched.setattr(kept_effects, "_BLOCK", 20)
        patched.setattr(stream_experiment.KeptEffects, "of", _fails_after_the_first)
        assert gia(folder, *arguments, output="restart.nc").exit_code == 130
    assert (folder / "restart.nc.partial").is_dir()
    ran = gia(folder, *arguments, "--seed", "9", "--restart", output="restart.nc")
    assert ran.exit_code == 0, ran.output
    assert not (folder / "restart.nc.partial").exists()
    assert tfb.open_result(folder / "restart.nc").attrs["seed"] == 9


def _fails_after_the_first(self: Any, n: int, patterns: Any, targets: Any, compute: Any) -> Any:
    self._block(np.arange(20), 20, n, patterns, targets, compute)
    raise KeyboardInterrupt


@pytest.mark.parametrize(
    ("arguments", "problem"),
    [
        (("effect", *UNIFORM), "--motif, --pattern: expected one"),
        (("effect", "--pattern", "GATA@x", *UNIFORM), "expected NAME=MOTIF@OFFSET"),
        (("effect", "--motif", "GATA", "--compare", "x=y", *UNIFORM), "--compare: compares patterns"),
        (
            ("necessity", "--motif", "GGGGGCCCCC", "--sequences", "sites.fa"),
            "no occurrence in the 12 sequences",
        ),
        (("effect", "--motif", "GATAAG"), "name them with --fasta"),
        (("spacing", "--motif", "GATAAG", *UNIFORM), "--motif: expected 2, got 1"),
        (("cooperativity", "--motif", "GATAAG", "--gaps", "a", *UNIFORM), "--gaps: expected numbers"),
        (("effect", "--motif", "GATAAG", "--offset", "79", *UNIFORM), "outside the 80 bp"),
        (("effect", "--motif", "GATAAG", *UNIFORM, "--central", "0.5"), "--central: expected two"),
        (("effect", "--motif", "what?", *UNIFORM), "expected a sequence or IUPAC"),
    ],
)
def test_mistakes_are_one_line(
    folder: Path, monkeypatch: pytest.MonkeyPatch, arguments: tuple[str, ...], problem: str
) -> None:
    monkeypatch.chdir(folder)
    ran = gia(folder, *arguments, output="none.nc")
    assert ran.exit_code == 1
    assert problem in ran.stderr
    assert len(ran.stderr.strip().splitlines()) == 1
    assert not (folder / "none.nc").exists()
