"""The tables of results: NumPy's numbers, in digits that show them, and how many there were."""

import math
import re

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


# --- the best


def test_the_best_and_what_is_not_told_from_it_are_marked():
    rng = np.random.default_rng(0)
    noise = rng.normal(size=(3, 6)) * 0.01
    means = {"first": 0.9, "tie": 0.899, "behind": 0.5}
    rows = [
        {"method": name, "seed": s, "accuracy": mean + noise[i, s], "loss": 1.0}
        for i, (name, mean) in enumerate(means.items())
        for s in range(6)
    ]
    table = tables.mean_std(rows, best=["accuracy"])
    assert [cell.endswith("*") for cell in table.accuracy] == [True, True, False]
    assert not table.loss.str.endswith("*").any()
    assert "<td><b>" in tables.html(table) and "*" not in tables.html(table)


def test_the_best_is_of_those_that_share_what_else_is_in_by():
    score = {
        ("digits", "a"): 0.9,
        ("digits", "b"): 0.5,
        ("clothes", "a"): 0.1,
        ("clothes", "b"): 0.4,
    }
    rows = [
        {
            "on": on,
            "method": method,
            "seed": s,
            "accuracy": mean + 0.001 * (-1) ** (s * (mean > 0.3)),
        }
        for (on, method), mean in score.items()
        for s in range(4)
    ]
    marked = tables.mean_std(rows, ["on", "method"], best=["accuracy"]).accuracy.str.endswith("*")
    assert marked.to_dict() == {key: key in {("digits", "a"), ("clothes", "b")} for key in score}


def test_with_one_seed_nothing_is_told_from_the_best():
    rows = [{"method": m, "seed": 0, "accuracy": a} for m, a in [("a", 0.9), ("b", 0.1)]]
    assert tables.mean_std(rows, best=["accuracy"]).accuracy.str.endswith("*").all()


@pytest.mark.parametrize(
    ("rows", "by", "message"),
    [
        ([{"method": "a", "seed": 0, "x": 1.0}], "method", "best='y'"),
        ([{"method": "a", "y": 1.0}], "method", "a column 'seed'"),
        ([{"method": "a", "on": "b", "y": 1.0}], ["on", "method"], "a column 'seed'"),
    ],
)
def test_the_best_needs_its_column_and_seeds(rows, by, message):
    with pytest.raises(ValueError, match=message):
        tables.mean_std(rows, by, best=["y"])


# --- HTML


def heads(text):
    return re.findall(r"<th>(.*?)</th>", re.search(r"<thead>.*?</thead>", text, re.DOTALL)[0])


def test_a_table_has_one_row_of_heads_titles_and_no_nan():
    frame = pd.DataFrame({"x": [0.5, None], "note": [None, "a < b"]}, index=["simve", "beta_vae"])
    text = tables.html(frame.rename_axis("method"))
    assert heads(text) == ["method", "x", "note"]
    assert ">SimVE<" in text and ">β-VAE<" in text
    assert "NaN" not in text and "None" not in text and text.count("<td>–</td>") == 2
    assert "a &lt; b" in text
    pairs = frame.reset_index(names="method").assign(on="digits").set_index(["on", "method"])
    assert heads(tables.html(pairs)) == ["on", "method", "x", "note"]
    assert ">SimVE<" in tables.html(pairs)


def test_an_index_in_a_formula_is_set():
    text = tables.html(pd.DataFrame({"nats": [1.0]}, index=["$I_{0.01}$"]))
    assert "<i>I</i><sub>0.01</sub>" in text and "$" not in text


def test_columns_of_several_levels_and_of_one_name_are_left():
    frame = pd.DataFrame([[1.0, 2.0]], columns=pd.MultiIndex.from_product([["a"], ["b", "c"]]))
    assert heads(tables.html(frame))[-2:] == ["b", "c"]
    twice = pd.DataFrame([["simve", None]], columns=["method", "method"])
    assert ">SimVE<" in tables.html(twice) and "None" not in tables.html(twice)


def test_a_notebook_shows_tables_by_html():
    from IPython.core.interactiveshell import InteractiveShell

    shell = InteractiveShell.instance()
    try:
        tables.show()
        data, _ = shell.display_formatter.format(pd.DataFrame({"method": ["simve"]}))
        assert ">SimVE<" in data["text/html"]
        styled = pd.DataFrame({"$I_{0.5}$": [1.0]}).style.format("{:.3f}")
        data, _ = shell.display_formatter.format(styled)
        assert "<i>I</i><sub>0.5</sub>" in data["text/html"] and ">1.000<" in data["text/html"]
        assert 'class="dataframe"' in data["text/html"]
    finally:
        InteractiveShell.clear_instance()
