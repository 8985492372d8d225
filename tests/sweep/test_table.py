"""What a table of trials is asked for."""

import pandas as pd
import pytest

from mdlib import sweep

TRIALS = pd.DataFrame(
    {
        "method": ["vae", "vae", "byol", "vae"],
        "lr": [1e-3, 3e-3, 1e-2, 1e-4],
        "option": [None, "beta=2", None, None],
        "held out": [0.5, 0.7, 0.9, None],
    }
)


def test_best_is_the_row_that_scores_highest_among_those_asked_for():
    expected = {"method": "vae", "lr": 3e-3, "option": "beta=2", "held out": 0.7}
    assert sweep.best(TRIALS, "held out", method="vae") == expected
    assert sweep.best(TRIALS, "held out") == {"method": "byol", "lr": 1e-2, "held out": 0.9}
    assert sweep.best(TRIALS, "held out", method="vae", lr=1e-3)["held out"] == 0.5


def test_best_of_nothing_is_none():
    assert sweep.best(pd.DataFrame(), "held out", method="vae") is None
    assert sweep.best(TRIALS, "held out", method="gvae") is None
    assert sweep.best(TRIALS, "held out", lr=1e-4) is None, "a trial without a score is no trial"


def test_best_takes_the_first_of_equals():
    equal = TRIALS.assign(**{"held out": 0.5})
    assert sweep.best(equal, "held out", method="vae")["lr"] == 1e-3


@pytest.mark.parametrize("by, of", [("accuracy", {}), ("held out", {"model": "vae"})])
def test_best_names_a_column_that_is_none(by, of):
    with pytest.raises(ValueError, match=r"accuracy|model"):
        sweep.best(TRIALS, by, **of)
