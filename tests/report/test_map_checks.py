"""Checks of maps and surrogates in a report."""

from pathlib import Path

import kipoi_tfbind as tfb
from kipoi_tfbind.testing import linear_model, random_sequences
from tests import same_weights


def test_agreement_and_surrogates_are_in_a_report(tmp_path: Path) -> None:
    function = linear_model(12, n_targets=2)
    model = tfb.as_sequence_model(function, targets=["CTCF", "MAX"])
    sequences = random_sequences(2, 12)
    ism = tfb.in_silico_mutagenesis(model, sequences)
    fitted = tfb.surrogate(model, sequences, n_mutants=300)
    compared = tfb.agreement({"ISM": ism, "occlusion": tfb.occlusion(model, sequences, width=1, stride=1)})
    tfb.write_report([fitted, compared], tmp_path / "report.html")
    page = (tmp_path / "report.html").read_text()
    assert "Agreement of maps" in page
    assert "ISM and occlusion" in page
    assert "Effects in the surrogate beside those of ISM of" in page


def test_sanity_checks_are_in_a_report_with_their_verdict(tmp_path: Path) -> None:
    sequences = random_sequences(3, same_weights.LENGTH)
    result = tfb.sanity_checks(
        same_weights.torch_network(),
        sequences,
        method=tfb.in_silico_mutagenesis,
        wrapping={"length": same_weights.LENGTH, "targets": same_weights.TARGETS},
    )
    tfb.write_report(result, tmp_path / "report.html", targets=["MAX"])
    page = (tmp_path / "report.html").read_text()
    assert "Sanity checks of in_silico_mutagenesis" in page
    assert str(result["verdict"].values[1])[:60] in page
    assert "randomised down to" in page
