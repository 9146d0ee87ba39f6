"""The commands grad-cam, attention-maps and layer-contributions: files, pictures and the page."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from click.testing import CliRunner

import kipoi_tfbind as tfb
from kipoi_tfbind.cli import main
from tests import graph_models


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A Keras entry with attention, and a FASTA of three sequences."""
    path = tmp_path_factory.mktemp("layers")
    graph_models.build("transformer").keras.save(path / "model.keras")
    (path / "model.yaml").write_text(
        "defined_as: kipoi.model.KerasModel\nargs:\n  weights: model.keras\n"
        "info:\n  authors:\n    - name: nobody\n  doc: A transformer\nschema:\n"
        f"  inputs:\n    shape: ({graph_models.LENGTH}, 4)\n    doc: one-hot\n"
        "  targets:\n    shape: (3,)\n    doc: three\n"
    )
    rng = np.random.default_rng(2)
    rows = ["".join(rng.choice(list("ACGT"), size=graph_models.LENGTH)) for _ in range(3)]
    (path / "sites.fa").write_text("".join(f">site_{i}\n{row}\n" for i, row in enumerate(rows)))
    return path


def run(*arguments: object) -> str:
    ran = CliRunner().invoke(main, [str(argument) for argument in arguments])
    assert ran.exit_code == 0, ran.output
    return ran.output


def test_files_pictures_and_page(folder: Path) -> None:
    model = tfb.load_model(str(folder), source="dir")
    sequences = tfb.read_fasta_sequences(folder / "sites.fa")
    commands = {
        "grad-cam": (tfb.grad_cam, {}, ()),
        "attention-maps": (tfb.attention_maps, {"n_paired": 3}, ("--n-paired", 3)),
        "layer-contributions": (tfb.layer_contributions, {"n_references": 2}, ("--n-references", 2)),
    }
    results = []
    for command, (function, options, arguments) in commands.items():
        path = folder / f"{command}.nc"
        run(command, folder, "--source", "dir", "--sequences", folder / "sites.fa", "-o", path, *arguments)
        found, expected = tfb.open_result(path), function(model, sequences, **options)
        assert set(found.variables) == set(expected.variables)
        for name in ("grad_cam", "class_activation", "attention", "ism_correlation", "unit_contribution"):
            if name in expected:
                np.testing.assert_allclose(found[name], expected[name], rtol=0, atol=1e-5, err_msg=name)
        run("plot", path, "--sequence", 1, "--target", 1, "-o", folder / "picture.png")
        results.append(path)
    run("report", *results, "-o", folder / "page.html")
    page = (folder / "page.html").read_text()
    for title in ("Grad-CAM", "Attention", "Contributions of a layer"):
        assert title in page
    assert "with second-order ISM" in page
    assert page.count("data:image/png") == 9


def test_every_other_result_has_its_panel(folder: Path) -> None:
    """Interactions, designs and samples stand in the page, too."""
    network = torch.nn.Sequential(torch.nn.Conv1d(4, 2, 3), torch.nn.Softplus(), torch.nn.Flatten())
    network.append(torch.nn.Linear(2 * 8, 1))
    model = tfb.as_sequence_model(network, length=10, targets=["CTCF"])
    one = tfb.encode_sequences(["ACGTTGCAAC"], ids=["site"])
    precise = tfb.as_sequence_model(network, length=10, targets=["CTCF"], double_precision=True)
    results = [
        tfb.integrated_hessians(precise, one, n_references=1),
        tfb.deep_feature_interaction(model, one, n_references=2),
        tfb.shapley_interactions(model, one, segments=[(0, 3), (3, 6), (6, 10)], n_references=2),
        tfb.design(model, one, n_edits=2),
        tfb.maximum_entropy_samples(model, one, n_samples=10, thin=1, burn_in=2),
    ]
    tfb.write_report(results, folder / "page.html")
    page = (folder / "page.html").read_text()
    assert page.count("data:image/png") == len(results)
    for title in ("Integrated Hessians", "Deep feature interactions", "Shapley interactions", "Design"):
        assert f"<h3>{title}" in page
    assert "<h3>Maximum-entropy samples" in page
    assert "site: CTCF" in page
    assert "0–2" in page  # a segment
