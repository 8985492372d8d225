"""The table of all scores."""

from __future__ import annotations

from dataclasses import replace

import metrics_recipe as recipe
import numpy as np
import pytest
import torch

from mdlib import metrics
from mdlib.metrics import evaluate

FACTORS = recipe.factors(0, 900, (3, 4, 2))
CODES = np.hstack([recipe.standard(FACTORS, (3, 4, 2)), np.random.RandomState(0).randn(900, 2)])


@pytest.mark.slow
def test_the_table_is_the_functions():
    table = evaluate(CODES, FACTORS, bins=10, top_k=(1, 2), seed=3)
    assert table.index.name == "metric"
    mec = metrics.infomec(CODES, FACTORS, 10)
    expected = {
        "med": metrics.med(CODES, FACTORS, 10),
        "med top-1": metrics.med(CODES, FACTORS, 10, top_k=1),
        "med top-1 rotated": metrics.rotation_null(CODES, FACTORS, 1, bins=10, seed=3),
        "med top-2": metrics.med(CODES, FACTORS, 10, top_k=2),
        "med top-2 rotated": metrics.rotation_null(CODES, FACTORS, 2, bins=10, seed=3),
        "mig": metrics.mig(CODES, FACTORS, 10),
        "modularity": metrics.modularity(CODES, FACTORS, 10),
        "sap": metrics.sap(CODES, FACTORS, seed=3),
        "dci": metrics.dci(CODES, FACTORS, seed=3, trees="binned"),
        "dci_es": metrics.dci_es(CODES, FACTORS, seed=3),
        "infom": mec,
        "infoc": replace(mec, score=mec.compactness),
        "infoe": replace(mec, score=mec.explicitness),
        "explicitness": metrics.explicitness(CODES, FACTORS, seed=3),
        "informativeness": metrics.informativeness(CODES, FACTORS, seed=3),
        "irs": metrics.irs(CODES, FACTORS, 10),
        "beta_vae": metrics.beta_vae(metrics.Rows(CODES, FACTORS), seed=3),
        "factor_vae": metrics.factor_vae(metrics.Rows(CODES, FACTORS), seed=3),
        "hfs": metrics.hfs(CODES, seed=3),
        "gaussian_total_correlation": metrics.gaussian_total_correlation(CODES),
        "wasserstein": metrics.wasserstein(CODES),
    }
    assert list(table.index) == list(expected)
    for name, result in expected.items():
        row = table.loc[name]
        assert row.score == pytest.approx(result.score, abs=1e-9) and row.n == result.n
        for column in ("bins", "seed"):
            value = getattr(result, column)
            assert table[column].isna()[name] if value is None else row[column] == value
    assert table.score["med top-1"] > table.score["med top-1 rotated"] + 0.3
    assert table.score.notna().all()


@pytest.mark.slow
def test_what_the_input_does_not_allow_is_left_out():
    quick = {"top_k": (1,)}
    one_factor = evaluate(CODES, FACTORS[:, :1], **quick).index
    assert not {
        "med",
        "med top-1",
        "modularity",
        "dci",
        "infom",
        "infoe",
        "beta_vae",
        "factor_vae",
    } & set(one_factor)
    assert {"mig", "sap", "irs", "explicitness"} <= set(one_factor)
    one_code = set(evaluate(CODES[:, :1], FACTORS[:, :2], **quick).index)
    assert not {"mig", "sap", "hfs"} & one_code and {"med", "dci"} <= one_code


def test_dci_of_wide_codes_only_on_demand(monkeypatch):
    monkeypatch.setattr(metrics.table, "TREES_UP_TO", 4)
    monkeypatch.setattr(metrics.table, "dci", lambda *a, **k: metrics.Score(score=0.25, n=7))
    wide = evaluate(CODES, FACTORS, metrics=["mig", "dci"])
    assert list(wide.index) == ["mig", "dci"] and wide.score["dci"] == 0.25
    assert metrics.table._left_out([], 5, 3) == {"dci", "dci_es"}
    assert not metrics.table._left_out([], 4, 3)


def test_a_test_sample_and_tensors():
    codes, factors = torch.tensor(CODES), torch.tensor(FACTORS)
    test = (codes[600:], factors[600:])
    chosen = ["informativeness", "sap"]
    table = evaluate(codes[:600], factors[:600], test=test, metrics=chosen)
    assert table.n.tolist() == [600, 600]
    expected = metrics.informativeness(codes[:600], factors[:600], test=test)
    assert table.score["informativeness"] == expected.score > 0.95


def test_errors():
    with pytest.raises(ValueError, match="unknown metric 'migg': did you mean 'mig'"):
        evaluate(CODES, FACTORS, metrics=["migg"])
    with pytest.raises(ValueError, match="factors have shape"):
        evaluate(CODES, FACTORS[1:])
    with pytest.raises(ValueError, match="top_k=0: expected a whole number"):
        evaluate(CODES, FACTORS, top_k=(0,))
    with pytest.raises(ValueError, match="expected at least 2"):
        evaluate(CODES, FACTORS[:, :1], metrics=["med"])


@pytest.mark.slow
def test_every_score_says_what_it_rests_on():
    for result in (
        metrics.med(CODES, FACTORS, 7),
        metrics.dci(CODES, FACTORS, trees="binned", seed=5),
        metrics.hfs(CODES, batches=1),
    ):
        assert result.n <= 900 and {"bins", "seed"} <= set(vars(result))
        with pytest.raises(AttributeError):
            result.score = 1.0
        assert "tensor" not in repr(result)


def test_a_test_sample_reaches_all_that_are_fitted_and_hfs_its_settings(monkeypatch):
    test = (CODES[600:], FACTORS[600:])
    chosen = ["sap", "dci", "dci_es", "explicitness", "informativeness"]
    seen = {}

    def spy(name):
        def score(codes, factors=None, **given):
            seen[name] = given
            return metrics.Score(score=0.0, n=len(codes))

        return score

    for name in ("sap", "dci", "dci_es", "hfs"):
        monkeypatch.setattr(metrics.table, name, spy(name))
    table = evaluate(CODES[:600], FACTORS[:600], test=test, metrics=[*chosen, "hfs"], seed=3)
    assert table.n.tolist() == [600] * 6
    assert all(seen[name]["test"] is test for name in ("sap", "dci", "dci_es"))
    assert seen["hfs"] == {"batches": 10, "pairs": 500, "seed": 3}
