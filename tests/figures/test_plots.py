import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import pytest
import torch
from matplotlib.colors import to_hex

from mdlib import methods
from mdlib.evaluation.statistics import Interval
from mdlib.figures import plots


@pytest.fixture(autouse=True)
def closed():
    plt.switch_backend("agg")
    yield
    plt.close("all")


@pytest.mark.parametrize("channels", [1, 3])
def test_image_grid_puts_each_image_in_its_place(channels):
    images = torch.arange(6).view(2, 3, 1, 1, 1).expand(2, 3, channels, 4, 5) / 10
    plots.image_grid(images, row_labels=["a", "b"], column_labels=["x", "y", "z"])
    axes = plt.gca()
    sheet = axes.images[0].get_array()
    assert sheet.shape[:2] == (2 * (4 + 4), 3 * (5 + 4))
    centres = sheet[4::8, 4::9]
    levels = centres if channels == 1 else centres[..., 0]
    np.testing.assert_allclose(levels, np.arange(6).reshape(2, 3) / 10, atol=1e-6)
    assert [label.get_text() for label in axes.get_yticklabels()] == ["a", "b"]


def test_image_grid_shows_bytes_as_fractions_and_refuses_wrong_labels():
    plots.image_grid(torch.full((1, 1, 1, 2, 2), 51, dtype=torch.uint8))
    assert plt.gca().images[0].get_array()[3, 3] == pytest.approx(0.2)
    with pytest.raises(ValueError, match="1 row labels for 2 rows of images"):
        plots.image_grid(torch.zeros(2, 1, 1, 2, 2), row_labels=["a"])


def test_content_style_draws_means_and_standard_deviations():
    rows = pd.DataFrame(
        {"method": ["vae"] * 3 + ["byol"] * 3, "a": [1, 2, 3, 5, 5, 8.0], "b": [0, 0, 3, 1, 1, 1.0]}
    )
    plots.content_style(rows, "a", "b")
    axes = plt.gca()
    assert (axes.get_xlabel(), axes.get_ylabel()) == ("a (accuracy)", "b (mean $R^2$)")
    dots = [container[0].get_xydata()[0].tolist() for container in axes.containers]
    assert dots == [[2, 1], [6, 1]]
    across = axes.containers[0][2][0].get_segments()[0]
    assert (across[1, 0] - across[0, 0]) / 2 == pytest.approx(np.std([1, 2, 3], ddof=1))
    assert {text.get_text() for text in axes.texts} == {"VAE", "BYOL"}


def test_loss_curves_have_a_panel_a_method_and_a_line_a_seed():
    run = pd.DataFrame({"loss": np.arange(10.0)}, index=range(1, 11))
    plots.loss_curves({"vae": [run, run], "byol": [run]}, window=2)
    axes = plt.gcf().axes
    assert [len(a.lines) for a in axes] == [2, 1]
    np.testing.assert_allclose(axes[0].lines[0].get_ydata()[:3], [0, 0.5, 1.5])
    assert axes[0].get_xlabel() == "step" and "nats" in axes[0].get_ylabel()


def test_curves_have_their_methods_colours_or_those_that_are_given():
    rows = pd.DataFrame({"J": [2, 4, 2, 4], "a": [1.0, 2, 3, 4], "m": ["vae", "vae", "x", "x"]})
    plots.curves(rows, "J", ["a"], "m", plots.COLOURS | {"x": "#b8860b"})
    lines = [to_hex(line.get_color()) for line in plt.gcf().axes[0].lines if len(line.get_xdata())]
    assert {to_hex(plots.COLOURS["vae"]), "#b8860b"} <= set(lines)
    plots.curves(rows, "J", ["a"], "m")
    lines = [to_hex(line.get_color()) for line in plt.gcf().axes[0].lines if len(line.get_xdata())]
    assert {to_hex(plots.COLOURS["vae"]), to_hex("C1")} <= set(lines)


def test_every_method_has_a_name_and_a_colour_of_its_own():
    known = [*methods.names(), "untrained"]
    assert plots.LABELS.keys() == plots.COLOURS.keys() == set(known)
    assert len({to_hex(plots.COLOURS[name]) for name in known}) == len(known)


def test_a_forest_has_a_row_a_name_and_shows_what_is_sure():
    sure, unsure = Interval(0.3, 0.1, 0.6, 5, 0.01), Interval(-0.1, -0.4, 0.2, 5, 0.5)
    plots.forest({"A": {"x": sure, "y": None}, "B": {"y": unsure, "z": sure}}, margin=0.05)
    left, right = plt.gcf().axes
    assert [label.get_text() for label in left.get_yticklabels()] == ["x", "y", "z"]
    assert (left.get_title(), right.get_title()) == ("A", "B")
    assert [bar[0].get_xydata()[0].tolist() for bar in left.containers] == [[0.3, 0]]
    assert [bar[0].get_xydata()[0].tolist() for bar in right.containers] == [[-0.1, 1], [0.3, 2]]
    ends = left.containers[0][2][0].get_segments()[0][:, 0]
    np.testing.assert_allclose(ends, [0.1, 0.6])
    hollow = [bar[0].get_markerfacecolor() == "w" for bar in right.containers]
    assert hollow == [True, False]
    plots.forest({"x": sure})
    assert len(plt.gcf().axes) == 1


def test_claims_show_what_holds_and_what_was_seen_before():
    said = pd.DataFrame(
        {
            "a − b": [0.3, -0.2, 0.1],
            "low": [0.1, -0.4, -np.inf],
            "high": [0.5, -0.1, np.inf],
            "verdict": ["holds", "fails", "undecided"],
            "expected": "> 0",
            "kind": ["confirmatory", "confirmatory", "exploratory"],
        },
        index=["x", "y", "z"],
    )
    plots.claims(said)
    axis = plt.gca()
    assert [label.get_text() for label in axis.get_yticklabels()] == ["x", "y", "z"]
    assert [text.get_text() for text in axis.texts] == [
        "holds (> 0)",
        "fails (> 0)",
        "undecided (> 0)",
    ]
    dots = [bar[0] for bar in axis.containers]
    assert [dot.get_markerfacecolor() == "w" for dot in dots] == [False, True, True]
    assert [dot.get_marker() for dot in dots] == ["o", "o", "D"]
    ends = [axis.containers[0][2][0].get_segments()[0][:, 0], axis.containers[2][2]]
    np.testing.assert_allclose(ends[0], [0.1, 0.5])
    assert not ends[1]  # of a single value nothing is known


def test_without_rows_there_is_no_figure():
    plots.claims(pd.DataFrame(columns=["a − b", "low", "high", "verdict", "expected", "kind"]))
    plots.forest({})
    assert not plt.get_fignums()


def test_dots_are_means_and_stds_of_those_that_have_rows():
    rows = pd.DataFrame(
        {
            "method": ["vae", "vae", "byol", "byol"] * 2,
            "on": ["digits"] * 4 + ["mnist"] * 4,
            "a": [1.0, 3, 2, 2, 5, 5, np.nan, np.nan],
            "b": np.nan,
        }
    )
    plots.dots(rows, ["a", "b", "c"], ["simve", "byol", "vae"], hue="on")
    (axes,) = plt.gcf().axes
    assert [label.get_text() for label in axes.get_yticklabels()] == ["BYOL", "VAE"]
    digits, mnist = axes.containers
    np.testing.assert_allclose(digits[0].get_xydata()[:, 0], [2, 2])
    np.testing.assert_allclose(mnist[0].get_xydata()[:, 0], [np.nan, 5])
    across = digits[2][0].get_segments()[1]
    assert (across[1, 0] - across[0, 0]) / 2 == pytest.approx(np.std([1, 3], ddof=1))
    assert [digits.get_label(), mnist.get_label()] == ["digits", "mnist"]


def test_comparisons_have_a_panel_a_value_and_titles_for_methods():
    found = pd.DataFrame(
        {
            "on": ["digits", "digits", "mnist"],
            "column": ["x", "x", "x"],
            "b": ["vae", "byol", "vae"],
            "interval": [Interval(m, m - 1, m + 1, 5, 0.1) for m in (1.0, 2.0, 3.0)],
        }
    )
    plots.comparisons(found, "on", ["column", "b"], margin=0.1)
    digits, mnist = plt.gcf().axes
    assert [label.get_text() for label in digits.get_yticklabels()] == ["x: VAE", "x: BYOL"]
    assert [axis.get_title() for axis in (digits, mnist)] == ["digits", "mnist"]
    assert [bar[0].get_xdata()[0] for bar in digits.containers] == [1.0, 2.0]
    assert [bar[0].get_xydata()[0].tolist() for bar in mnist.containers] == [[3.0, 0]]


def test_parts_have_a_colour_each_and_a_panel_for_each_question():
    rows = pd.DataFrame(
        {"method": ["vae", "vae", "byol"], "x, c": [1.0, 3, 5], "x, s": [0.0, 2, np.nan]}
    )
    plots.parts(rows, ["x"], ["byol", "vae"], {"c": "content", "s": "style"})
    (axis,) = plt.gcf().axes
    content, styled = axis.containers
    np.testing.assert_allclose(content[0].get_xydata()[:, 0], [5, 2])
    np.testing.assert_allclose(styled[0].get_xydata()[:, 0], [np.nan, 1])
    assert [content.get_label(), styled.get_label()] == ["content", "style"]


def test_names_of_points_keep_out_of_each_others_way():
    figure, axis = plt.subplots(figsize=(5, 5))
    points = [(0.4, 0.5), (0.43, 0.5), (0.46, 0.5), (0.5, 0.52), (0.95, 0.9)]
    axis.set(xlim=(0, 1), ylim=(0, 1))
    axis.plot(*zip(*points, strict=True), "o", ms=5)
    figure.canvas.draw()
    plots.name_points(axis, points, ["first", "second", "third", "fourth", "last"], "kkkkk")
    figure.canvas.draw()
    boxes = [text.get_window_extent().shrunk(0.95, 0.95) for text in axis.texts]
    assert not any(a.overlaps(b) for i, a in enumerate(boxes) for b in boxes[:i])
    centres = axis.transData.transform(points)
    assert not any(box.contains(*centre) for box in boxes for centre in centres)
    assert axis.bbox.contains(*boxes[-1].max), "it stays inside"


def test_a_causal_graph_has_causes_on_the_left_and_a_circle_where_there_is_one():
    _, axes = plt.subplots(1, 2)
    plots.causal_graph([("a", "b"), ("b", "c"), ("a", "c")], axes[0], hidden=["a"])
    places = {text.get_text(): text.get_position()[0] for text in axes[0].texts}
    assert places["a"] < places["b"] < places["c"]
    assert len(axes[0].patches) == 3, "an arrow for each edge"
    shades = axes[0].collections[0].get_facecolor()
    assert shades[0].tolist()[:3] == [0.75] * 3 and (shades[1] == shades[2]).all()
    plots.causal_graph([("a", "b"), ("b", "a"), ("b", "c"), ("c", "c")], axes[1])
    assert len(axes[1].texts) == 3 and not axes[1].axison


def test_circles_of_a_full_column_stay_apart():
    _, axes = plt.subplots(1, 2, figsize=(7, 2.6))
    plots.causal_graph([("a", name) for name in "bcdef"], axes[0])
    axes[0].figure.canvas.draw()
    (nodes,) = axes[0].collections
    heights = axes[0].transData.transform(nodes.get_offsets())[1:, 1] * 72 / axes[0].figure.dpi
    assert np.diff(np.sort(heights)).min() > nodes.get_sizes()[0] ** 0.5


def test_matrices_have_a_panel_each_and_one_scale():
    found = {"one": np.array([[0.0, 0.2]]), "two": np.array([[0.5, 2.0]])}
    plots.matrices(found, ["block"], ["x", "y"], ylabel="block")
    for axis, (name, matrix) in zip(plt.gcf().axes, found.items(), strict=True):
        (image,) = axis.images
        assert axis.get_title() == name and image.get_clim() == (0, 1)
        np.testing.assert_array_equal(image.get_array(), matrix)
    assert [label.get_text() for label in axis.get_xticklabels()] == ["x", "y"]
