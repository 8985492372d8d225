"""The tables of results: NumPy's numbers, in digits that show them, and how many there were."""

import math

import numpy as np
import pandas as pd
import pytest

from mdlib.figures import tables


def test_mean_std_is_numpys_by_group_with_n():
    rows = [
        {"method": m, "seed": s, "accuracy": a, "note": "x"}
        for m, s, a in [("vae", 0, 0.5), ("vae", 1, 0.7), ("byol", 0, 0.25)]
    ]
    table = tables.mean_std(rows)
    assert list(table.index) == ["vae", "byol"]
    assert list(table.columns) == ["accuracy", "n"]
    assert table.accuracy["vae"] == f"0.600 ± {np.std([0.5, 0.7], ddof=1):.3f}"
    assert table.accuracy["byol"] == "0.250 ± ?"
    assert list(table.n) == [2, 1]


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        ([1e-4, 3e-4], "0.00020 ± 0.00014"),
        ([1e-9, 3e-9], "2e-09 ± 1.4e-09"),
        ([1e9, 2e9], "1.5e+09 ± 7.1e+08"),
        ([0.612, 0.6124], "0.61220 ± 0.00028"),
        ([12345.0, 12346.0], "12345.500 ± 0.707"),
        ([5.0, 5.0 + 2e-9], "5 ± 1.4e-09"),
        ([-0.5, -0.7], "-0.600 ± 0.141"),
        ([0, 0], "0 ± 0"),
        ([0.1, 0.1, 0.1], "0.100 ± 0"),
        ([1e-4], "0.000100 ± ?"),
        ([2e-10], "2e-10 ± ?"),
        ([123456.0], "1.235e+05 ± ?"),
        ([None], "–"),
    ],
)
def test_digits_show_the_numbers(values, expected):
    rows = [{"method": "a", "loss": value} for value in values]
    table = tables.mean_std([*rows, {"method": "b", "loss": 1.0}])
    assert table.loss["a"] == expected


@pytest.mark.parametrize("scale", [1e-12, 1e-6, 1e-3, 0.1, 1.0, 50.0, 1e4, 1e7, 1e12])
def test_mean_and_spread_can_be_read_back(scale):
    values = scale * np.random.default_rng(0).normal(3, 1, 50)
    mean, std = map(float, tables.plus_minus(values.mean(), values.std(ddof=1)).split(" ± "))
    assert std == pytest.approx(values.std(ddof=1), rel=0.06)
    assert mean == pytest.approx(values.mean(), abs=0.06 * values.std(ddof=1))


def test_n_counts_values_and_says_where_columns_differ():
    rows = [{"method": "a", "x": x, "y": y} for x, y in [(1.0, 1.0), (None, 2.0), (3.0, None)]]
    assert tables.mean_std([{"method": "a", "x": x} for x in (1.0, None, 3.0)]).n["a"] == 2
    rows += [{"method": "a", "x": None, "y": 4.5}]
    table = tables.mean_std(rows)
    assert table.n["a"] == 3
    assert table.x["a"] == "2.000 ± 1.414 (n = 2)"
    assert table.y["a"] == "2.500 ± 1.803"


def test_a_group_or_column_of_nothing():
    rows = [{"method": "a", "x": None}, {"method": "b", "x": 2.0}]
    table = tables.mean_std(rows)
    assert list(table.x) == ["–", "2.000 ± ?"]
    assert list(table.n) == [0, 1]
    nothing = tables.mean_std([{"method": "a", "x": None}, {"method": "a", "x": None}])
    assert list(nothing.columns) == ["n"] and list(nothing.n) == [2]


@pytest.mark.parametrize(
    ("values", "cell"),
    [
        ([1e300, 1.5e300], "1.25e+300 ± 3.5e+299"),
        ([1.7e308, 1.7e308], "1.7e+308 ± 0"),
        ([1e-300, 3e-300], "2e-300 ± 1.4e-300"),
        ([math.inf, 1.0], "inf ± ?"),
        (np.array([1, 6e4], np.float16), "30000.500 ± 42425.700"),
    ],
)
def test_values_whose_squares_are_no_numbers_have_mean_and_spread(values, cell):
    table = tables.mean_std(pd.DataFrame({"method": "a", "x": values}))
    assert table.loc["a", "x"] == cell


def test_whole_numbers_may_be_missing_and_a_missing_column_is_named():
    whole = pd.DataFrame({"method": "a", "x": pd.array([1, None, 3], dtype="Int64")})
    assert tables.mean_std(whole).loc["a"].tolist() == ["2.000 ± 1.414", 2]
    with pytest.raises(ValueError, match="by='arch': the rows have no such column"):
        tables.mean_std(whole, "arch")


def test_what_is_no_number_is_left_out_or_refused():
    rows = pd.DataFrame({"method": ["a", "a"], "x": [1.0, 3.0], "right": [True, False]})
    rows["day"] = pd.Timestamp("2026-01-01")
    assert list(tables.mean_std(rows)) == ["x", "n"]
    rows["time"] = pd.to_timedelta([1, 2], unit="s")
    with pytest.raises(ValueError, match="column 'time' holds durations: give seconds"):
        tables.mean_std(rows)
