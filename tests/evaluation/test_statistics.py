"""Differences between methods, against SciPy."""

import numpy as np
import pandas as pd
import pytest
from scipy import stats

from mdlib.evaluation.statistics import claim, interval, paired


def test_the_interval_is_that_of_a_one_sample_t_test():
    d = np.random.default_rng(0).normal(0.3, 1, 7)
    found, truth = interval(d), stats.ttest_1samp(d, 0).confidence_interval(0.95)
    assert (found.low, found.high) == pytest.approx((truth.low, truth.high))
    assert found.mean == pytest.approx(d.mean()) and found.n == 7
    wide = interval(d, confidence=0.99)
    assert wide.low < found.low < found.high < wide.high


def test_one_difference_says_nothing_of_its_spread():
    found = interval([0.5])
    assert found.low == -np.inf and found.high == np.inf and found.verdict == "ties with"


@pytest.mark.parametrize(
    ("d", "verdict"),
    [([1, 1.1, 0.9], "beats"), ([-1, -1.1, -0.9], "loses to"), ([1, -1, 0.1], "ties with")],
)
def test_a_verdict_needs_the_whole_interval(d, verdict):
    assert interval(d).verdict == verdict


def test_pairs_are_of_the_same_seed_whatever_the_order():
    rows = pd.DataFrame(
        {
            "method": ["a", "a", "a", "b", "b", "b", "c"],
            "seed": [0, 1, 2, 2, 0, 3, 9],
            "score": [0.5, 0.6, 0.9, 0.8, 0.1, 0.3, 1.0],
        }
    )
    found = paired(rows, "a", "b", "score")
    assert found.n == 2 and found.mean == pytest.approx((0.4 + 0.1) / 2)
    assert paired(rows, "a", "c", "score") is None
    assert str(interval([0.25, 0.25])) == "+0.250 [+0.250, +0.250]"


def test_bad_input_is_refused():
    with pytest.raises(ValueError, match="none of them NaN"):
        interval([0.1, np.nan])
    with pytest.raises(ValueError, match="expected one number or more"):
        interval([])
    with pytest.raises(ValueError, match="confidence=2"):
        interval([1.0], confidence=2)
    twice = pd.DataFrame({"method": ["a", "a", "b"], "seed": [0, 0, 0], "score": [1.0, 2, 3]})
    with pytest.raises(ValueError, match="'a' has a seed more than once"):
        paired(twice, "a", "b", "score")


def test_a_claim_holds_where_all_of_the_interval_lies_above():
    rows = pd.DataFrame(
        {"setting": list("aaabbb"), "seed": [0, 1, 2] * 2, "x": [3.0, 3.1, 3.2, 1.0, 1.0, 1.0]}
    )
    found = paired(rows, "a", "b", "x", by="setting")
    assert found.low == pytest.approx(2.1 - 4.302653 * 0.1 / 3**0.5, abs=1e-5)
    claim(rows, "a", "b", "x", by="setting")
    claim(rows, "a", "b", "x", found.low - 1e-9, by="setting")
    for least in (found.low, 2.0, 2.1):
        with pytest.raises(AssertionError, match=r"a − b, 'x': \+2\.100"):
            claim(rows, "a", "b", "x", least, by="setting")
    with pytest.raises(AssertionError, match="b − a"):
        claim(rows, "b", "a", "x", by="setting")
    with pytest.raises(AssertionError, match="None"):
        claim(rows, "a", "c", "x", by="setting")
