"""gallery/multiview_coding: its loss against the released formula, its theorem, views and rows."""

import math

import numpy as np
import pytest
import torch
from chapter_cells import broken, cells, check, namespace, run, tagged, text

from mdlib.data import copies
from mdlib.mi import bounds
from mdlib.views import Views

CHAPTER = "gallery/multiview_coding"
BREAKS = [
    ("1 / (1 + v) / (1 + v / m)", "1 / (1 + v) / (1 + v)"),  # copies of a number not counted
    ("for m in n) / 2", "for m in n)"),
    ("copies.HELD[1:J] for", "copies.HELD[2:J] for"),
    ("joint[8:, 8:].logdet()", "joint[8:, 8:].logdet() + 0.1"),
]


@pytest.fixture(scope="module")
def chapter():
    return namespace(text(CHAPTER), steps=8, batch_size=16, device="cpu")


@pytest.fixture(scope="module")
def z():
    return list(torch.randn(3, 7, 5, generator=torch.Generator().manual_seed(0)).double())


def test_contrast_is_the_released_softmax_loss(chapter, z):
    """HobbitLong/CMC: h = exp(f1 · f2 / τ) of unit vectors; −log of the partner's share."""
    unit = [(a / a.norm(dim=1, keepdim=True)).numpy() for a in z[:2]]
    h = np.exp(unit[0] @ unit[1].T / chapter["temperature"])
    shares = [h[b, b] / row.sum() for m in (h, h.T) for b, row in enumerate(m)]
    expected = -np.log(shares).sum() / 7
    assert chapter["contrast"](*z[:2]).item() == pytest.approx(expected, abs=1e-9)


def test_contrast_is_the_books_bound(chapter, z):
    unit = [torch.nn.functional.normalize(a, dim=1) for a in z[:2]]
    S = unit[0] @ unit[1].T / chapter["temperature"]
    both = bounds.infonce(S) + bounds.infonce(S.T)
    assert chapter["contrast"](*z[:2]).item() == pytest.approx(2 * math.log(7) - both.item())


def test_the_full_graph_has_each_pair_once_and_no_order(chapter, z):
    contrast, full_graph = chapter["contrast"], chapter["full_graph"]
    pairs = contrast(z[0], z[1]) + contrast(z[0], z[2]) + contrast(z[1], z[2])
    torch.testing.assert_close(full_graph(z), pairs)
    torch.testing.assert_close(full_graph(z[::-1]), pairs)


@pytest.mark.parametrize("change", [None, *BREAKS])
def test_the_theorems_cell_holds_and_can_fail(change):
    source = text(CHAPTER)
    (cell,) = tagged(source, "theorem:copies")
    check(broken(cell, change), namespace(source), "copies", change)


def test_known_information_by_hand(chapter):
    one = -math.log(1 - 1 / 1.09**2) / 2
    assert chapter["known"](2) == pytest.approx(3 * one)
    twice = -math.log(1 - 1 / (1.09 * 1.045)) / 2  # s_0 has two copies among three other views
    assert chapter["known"](4) == pytest.approx(7 * one + twice)


def test_reached_is_at_most_log_b_and_0_for_a_blind_code(chapter):
    class Net:
        def __init__(self, code):
            self.code, self.head = code, lambda m: m

    views, s = copies.Scenes(2, 0)(500)
    found = chapter["reached"]([Net(lambda v: s)] * 2, views)
    assert 1 < found < math.log(500)
    blind = [Net(lambda v: torch.ones(len(v), 4))] * 2
    assert chapter["reached"](blind, views) == pytest.approx(0, abs=1e-5)


@pytest.mark.parametrize(("shape", "dim"), [((1, 4, 4), 16), ((32, 1, 1), 16), ((3, 32, 32), 64)])
def test_a_sensor_codes_its_view_and_decodes_the_rest(chapter, shape, dim):
    rest = (2, *shape[1:])
    net, view = chapter["Sensor"](shape, rest), torch.rand(5, *shape)
    assert net.decode(net.map(view)).shape == (5, *rest)
    assert net.code(view).ndim == 2 and net.head(net.code(view)).shape == (5, dim)


def test_views_of_one_sensor_share_a_network_and_each_arm_trains_its_own_part(chapter):
    draw = torch.Generator().manual_seed(0)

    def look():
        return [torch.rand(8, 2, 4, 4, generator=draw) for _ in range(3)]

    nets = chapter["learn"](look, 1, 2)
    assert nets[0] is nets[1] is nets[2]
    before = chapter["learn"](look, 3, 0)
    assert len({id(net) for net in before}) == 3
    for predict in (False, True):
        after = chapter["learn"](look, 3, 3, predict)

        def moved(part, after=after):
            old, new = (dict(nets[0].named_parameters())[part] for nets in (before, after))
            return not torch.equal(old, new)

        assert moved("map.1.weight")
        assert moved("head.weight") is not predict
        assert moved("decode.0.weight") is predict


def test_partners_are_of_one_block_and_cut_into_sensors(chapter):
    x = torch.arange(24.0).div(24).view(24, 1, 1, 1).repeat(1, 3, 2, 2)
    law, draw = Views(), torch.Generator().manual_seed(0)
    given = {"law": law, "sizes": [1, 2], "draw": draw}
    views = chapter["scene_views"](x, 600, block=6, J=2, **given)
    assert [v.shape[1] for v in views] == [1, 2, 1, 2]
    rows = [(v[:, 0, 0, 0] * 24).round().long() for v in views]
    assert torch.equal(rows[0], rows[1]) and torch.equal(rows[2], rows[3])
    first, second = rows[0], rows[2]
    assert torch.equal(first // 6, second // 6) and not torch.equal(first, second)
    assert first.unique().tolist() == second.unique().tolist() == list(range(24))
    same = chapter["scene_views"](x, 50, block=1, J=2, **given)
    assert torch.equal(same[0], same[2])


def test_blocks_of_photographs_are_objects_and_categories(chapter):
    """Sizes of blocks against the order of `eth80.halves`: category, object, one of 16 sides."""
    category, thing, side = torch.meshgrid(*map(torch.arange, (8, 5, 16)), indexing="ij")
    of = {
        "object": 5 * category + thing,
        "category": category,
        "two categories": category // 2,
        "4 sides": (5 * category + thing) * 4 + side // 4,
    }
    for arm, expected in of.items():
        block = chapter["INFOMIN"][arm][1]
        assert torch.equal(torch.arange(640) // block, expected.flatten()), arm
    assert math.log(640 // chapter["BLOCKS"]["category"]) == math.log(8)
    assert all(block == 41 for _, block, _ in chapter["TURNS"].values())


def test_luminance_and_colour_are_jpegs(chapter):
    from PIL import Image

    rgb = torch.randint(0, 256, (1, 3, 8, 8), generator=torch.Generator().manual_seed(0))
    image = Image.fromarray(rgb[0].permute(1, 2, 0).to(torch.uint8).numpy())
    theirs = torch.from_numpy(np.array(image.convert("YCbCr"))).permute(2, 0, 1)
    ours = 255 * chapter["ycbcr"](rgb / 255)[0]
    assert (ours - theirs).abs().max() <= 1.01


def test_quarters_make_up_the_digit(chapter):
    x = torch.arange(128.0).view(2, 1, 8, 8)
    q = chapter["quarters"](x)
    assert torch.equal(q[:, 0], x[:, 0, :4, :4]) and torch.equal(q[:, 1], x[:, 0, :4, 4:])
    assert torch.equal(q[:, 2], x[:, 0, 4:, :4]) and torch.equal(q[:, 3], x[:, 0, 4:, 4:])


def test_rows_of_a_comparison(chapter):
    draw = torch.Generator().manual_seed(0)
    y = torch.arange(40) % 2
    x = torch.rand(40, 2, 8, 8, generator=draw) / 4 + 0.5 * y.view(-1, 1, 1, 1)
    found = list(chapter["compare"]((x, y, x, y), Views(), [1, 1], chapter["SENSORS"]))
    assert [row["arm"] for row in found] == ["pixels", "untrained", "contrast", "prediction"]
    assert all(row["accuracy"] == 1 == row["first alone"] for row in found[:1])
    assert found[0].keys() == {"arm", "accuracy", "first alone"}
    arms = {"pair": ({}, 4, 2)}
    found = list(chapter["compare"]((x, y, x, y), Views(), [2], arms))
    assert "first alone" not in found[1]
    assert found[1]["nats shared"] == pytest.approx(math.log(10))


def test_readings_of_made_views(chapter):
    found = list(chapter["synthetic"]())
    assert [row["arm"] for row in found] == ["2 views", "3 views", "4 views"]
    assert found[0]["nats shared"] < found[1]["nats shared"] < found[2]["nats shared"]
    share = 3 / 8
    mixed = share * found[0]["R² held"] + (1 - share) * found[0]["R² rest"]
    assert found[0]["R²"] == pytest.approx(mixed)
    assert math.isnan(found[2]["R² rest"])
    assert found[2]["R²"] == pytest.approx(found[2]["R² held"])


@pytest.mark.slow
@pytest.mark.parametrize("studies", ["turns", "digits, masks"])
def test_a_study_without_its_files_is_left_out_and_said_so(tmp_path, monkeypatch, capsys, studies):
    monkeypatch.setenv("MDLIB_DATA", str(tmp_path))
    source = text(CHAPTER)
    space = namespace(source, studies=studies, steps=8, batch_size=8, device="cpu")
    (cell,) = [code for _, code in cells(source) if "rows = []" in code]
    if studies == "turns":
        with pytest.raises(FileNotFoundError, match="no files for any of turns"):
            run(cell, space, "studies")
    else:
        run(cell, space, "studies")
        assert set(space["results"]["study"]) == {"digits"}
    assert "is left out. eth80: " in capsys.readouterr().out


def test_all_arms_see_as_many_images_and_are_read_on_new_ones(chapter, monkeypatch):
    draw = torch.Generator().manual_seed(0)
    y = torch.arange(48) % 2
    x = torch.rand(48, 2, 8, 8, generator=draw) / 4 + 0.5 * y.view(-1, 1, 1, 1)
    asked, train, seeds = [], chapter["learn"], []

    def learn(look, sensors, steps, predict=False):
        asked.append((len(look()[0]), len(look()) // sensors, steps))
        return train(look, sensors, 0)

    monkeypatch.setitem(chapter, "learn", learn)
    stream = chapter["random_stream"]
    monkeypatch.setitem(
        chapter, "random_stream", lambda seed, device: seeds.append(seed) or stream(seed, device)
    )
    monkeypatch.setitem(chapter, "seed", 3)
    given = (x, y, x, 1 - y), Views()
    found = list(chapter["compare"](*given, [2], {f"{J}": ({}, 24, J) for J in (2, 4, 8)}))
    assert len({batch * J * steps for batch, J, steps in asked}) == 1 and asked[0][2] == 8
    assert found[0]["accuracy"] == 0, "new labels say the opposite"
    assert seeds[0] == 3
    reached = []
    monkeypatch.setitem(
        chapter, "reached", lambda nets, views: reached.append(views[0].mean().item()) or 0.0
    )
    dark = 0 * x
    list(chapter["compare"]((x, y, dark, y), Views(), [2], {"2": ({}, 24, 2)}))
    assert reached == [0], "the bound is of new scenes"
