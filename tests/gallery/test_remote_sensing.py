"""gallery/remote_sensing: its tiles, its views of bands, who is trained on what, and its two losses
beside the package's."""

import math

import numpy as np
import pytest
import torch
from chapter_cells import broken, cells, check, namespace, run, tagged, text
from torch import nn

from mdlib import nets
from mdlib.views import Views

CHAPTER = "gallery/remote_sensing"
BREAKS = [
    ("torch.logaddexp(own, rest) - own", "rest - own"),  # one's own key left out
    ("/ tau).logsumexp(1)", ").logsumexp(1)"),
    ("S = S / S.sum(0)  #", "S = S  #"),  # prototypes as they like
    ("sinkhorn(other @ C.T)", "sinkhorn(z @ C.T)"),  # nothing swapped
]


def prepared(**parameters):
    source = text(CHAPTER)
    space = namespace(source, steps=2, batch_size=16, device="cpu", **parameters)
    (cell,) = tagged(source, "data")
    return run(cell, space, "data")


@pytest.fixture(scope="module")
def chapter():
    space = prepared()
    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(nets.ENCODERS, "patches", space["PatchNet"])
        yield space


def seeded(seed=0):
    return torch.Generator().manual_seed(seed)


# --- tiles ------------------------------------------------------------------------------------


def test_a_tile_is_equation_1(chapter):
    """Of each: the mean over places, and the strongest wave of the mean over bands."""
    x, y, light = chapter["tiles"](50, 3)
    assert x.shape == (600, 6, 20, 20) and x.dtype == torch.uint8
    assert y.bincount().tolist() == [50] * 12
    rho = chapter["FAMILIES"][y // 4]
    expected = light[:, :1] * rho + light[:, 1:]
    error = x.float().mean((2, 3)) / 255 - expected
    # 0.12 of gρ, and noise of 400 places; a little is lost where values are cut off
    assert error.mean(0).abs().max() < 0.02
    assert error.std() < 0.12 * (light[:, :1] * rho).square().mean().sqrt() + 0.01
    spectrum = torch.fft.rfft2(x.float().mean(1)).abs()
    spectrum[:, 0, 0] = 0
    for tile, klass in zip(spectrum, y.tolist(), strict=True):
        down, along = divmod(int(tile.argmax()), tile.shape[1])
        waves = 5 if klass % 2 == 0 else 2.5  # of 4 and of 8 pixels among 20
        place = min(down, 20 - down) if klass // 2 % 2 else along
        assert min(down, along) == 0 and abs(place - waves) <= 0.5, klass


def test_light_and_phase_are_spread_and_belong_to_no_class(chapter):
    _, y, light = chapter["tiles"](200, 0)
    low, high = light.amin(0), light.amax(0)
    torch.testing.assert_close(low, torch.tensor([0.4, 0.0]), atol=0.01, rtol=0)
    torch.testing.assert_close(high, torch.tensor([1.6, 0.3]), atol=0.01, rtol=0)
    means = torch.stack([light[y == c].mean(0) for c in range(12)])
    assert (means - light.mean(0)).abs().max() < 0.15


def test_training_and_test_tiles_are_others_and_the_seed_decides(chapter):
    again, other = prepared(), prepared(seed=1)
    assert torch.equal(chapter["x"], again["x"]) and not torch.equal(chapter["x"], other["x"])
    assert len(chapter["x"]) == 2400 and len(chapter["x_test"]) == 1200
    seen = {bytes(t.numpy()) for t in chapter["x"]}
    assert not seen & {bytes(t.numpy()) for t in chapter["x_test"]}
    tiles, seeds = chapter["tiles"], []
    space = chapter | {"tiles": lambda n, seed: seeds.append(seed) or tiles(n, seed)}
    run(*tagged(text(CHAPTER), "data"), space, "data")
    assert len(set(seeds)) == 2, "drawn from one stream they would share their noise"


# --- views ------------------------------------------------------------------------------------


@pytest.mark.parametrize("bands", [3, 6])
def test_each_step_of_the_views(chapter, bands):
    images = torch.randint(256, (4, bands, 8, 8), dtype=torch.uint8, generator=seeded())
    plain = images[:, None].float().expand(-1, 3, -1, -1, -1) / 255

    def views(**options):
        return chapter["BandViews"](**options)(images, 3, seeded(1))[0]

    torch.testing.assert_close(views(), plain)
    torch.testing.assert_close(views(turn=1.0), plain.mT)
    torch.testing.assert_close(views(alike=1.0), plain.mean(2, keepdim=True).expand_as(plain))
    hazy = views(haze=0.2) - plain
    assert hazy.abs().max() <= 0.2 and len(hazy.flatten(2).median(2).values.unique()) == 12
    inside = (plain > 0.2) & (plain < 0.8)  # elsewhere it is cut off
    torch.testing.assert_close(
        hazy[inside],
        hazy.flatten(2).median(2).values[..., None, None, None].expand_as(hazy)[inside],
    )


def test_probabilities_are_kept_and_each_view_has_its_own(chapter):
    images = torch.randint(256, (500, 2, 4, 4), dtype=torch.uint8, generator=seeded())
    plain = images[:, None].float() / 255
    views, _ = chapter["BandViews"](turn=0.3)(images, 2, seeded(2))
    turned = (views != plain).flatten(2).any(2)
    assert turned.float().mean().item() == pytest.approx(0.3, abs=0.05)
    assert turned.all(1).float().mean().item() == pytest.approx(0.09, abs=0.04)


def test_what_views_did_before_they_do_still(chapter):
    images = torch.randint(256, (4, 6, 8, 8), dtype=torch.uint8, generator=seeded())
    options = {"crop": (0.5, 1.0), "hflip": 0.5, "brightness": 0.3}
    ours, told = chapter["BandViews"](**options)(images, 2, seeded(1))
    theirs, parameters = Views(**options)(images, 2, seeded(1))
    assert torch.equal(ours, theirs) and told.keys() == parameters.keys()
    assert "turn=0.5" in repr(chapter["BandViews"](turn=0.5))  # a checkpoint's name for it


def test_a_law_lacks_what_is_left_out(chapter):
    law, parts = chapter["law"], chapter["AUGMENTATIONS"]
    whole, plain = law([]), chapter["BandViews"]()
    for name, part in parts.items():
        changed = {k for k in vars(whole) if getattr(whole, k) != getattr(law([name]), k)}
        assert changed == {k for k in part if part[k]}
        assert all(getattr(law([name]), k) == getattr(plain, k) for k in changed)
    assert whole.turn == 0, "a turned furrow is of another class"


# --- losses -----------------------------------------------------------------------------------


@pytest.mark.parametrize("change", [None, *BREAKS])
def test_the_losses_are_the_packages_and_the_cell_can_fail(change):
    source = broken(text(CHAPTER), change)
    (cell,) = tagged(source, "theorem:package")
    check(cell, namespace(source), "package", change)


def test_assignments_are_constants(chapter):
    z, C = (nn.functional.normalize(torch.randn(n, 4, generator=seeded(n)), dim=1) for n in (8, 5))
    z.requires_grad_()
    other = z.detach().flip(0)
    S = chapter["sinkhorn"](other @ C.T)
    both = chapter["swav"](z, other, C)
    expected = -(S * (z @ C.T / 0.1).log_softmax(1)).sum() / 8 / 2
    (ours,), (known,) = (torch.autograd.grad(v, z, retain_graph=True) for v in (both, expected))
    torch.testing.assert_close(ours, known)


# --- the network, and who is trained on what --------------------------------------------------


@pytest.mark.parametrize("shape", [(6, 20, 20), (3, 32, 32)])
def test_the_network_takes_the_mean_over_places(chapter, shape):
    net = chapter["PatchNet"](shape, 16).eval()
    images = torch.rand(2, *shape, generator=seeded())
    maps = nn.Sequential(*list(net)[:-2])(images)
    torch.testing.assert_close(net(images), maps.mean((2, 3)))
    assert net(images).shape == (2, 16) and min(maps.shape[2:]) > 1


def test_untrained_is_as_made_and_the_seed_decides(chapter):
    def weights(*asked):
        return chapter["learn"](*asked).encoder[0].weight

    first, again, trained = weights("moco"), weights("moco"), weights("moco", [])
    assert torch.equal(first, again) and not torch.equal(first, trained)
    assert not torch.equal(trained, weights("moco", ["crop"]))


def test_codes_see_batch_statistics_of_images_as_they_are(chapter):
    method = chapter["learn"]("moco", [])
    z, z_test = chapter["codes"](method)
    again, _ = chapter["codes"](method)
    assert z.shape == (2400, 64) and z_test.shape == (1200, 64)
    torch.testing.assert_close(z, again)
    first = method.encoder[0](chapter["x"].float() / 255)
    torch.testing.assert_close(
        method.encoder[1].running_mean, first.mean((0, 2, 3)), rtol=1e-3, atol=1e-4
    )


def test_without_a_network_codes_are_statistics_of_bands(chapter):
    z, _ = chapter["codes"](None)
    x = chapter["x"].double().numpy() / 255
    known = np.concatenate([x.mean((2, 3)), x.std((2, 3), ddof=1)], 1)
    np.testing.assert_allclose(z, known, atol=1e-5)


def test_supervised_learns_from_its_share_alone_and_is_judged_on_test(chapter):
    asked = []

    class Oracle(nn.Module):
        """Says the right class of every test image."""

        def head(self, z):
            return nn.functional.one_hot(chapter["y_test"], 12).float()

    def learn(kind, without, rows):
        asked.append((kind, without, rows))
        return Oracle()

    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(chapter, "learn", learn)
        patch.setitem(chapter, "codes", lambda method: (None, None))
        row, _ = chapter["supervised"]()
    assert row == {"1 %": 1.0, "10 %": 1.0, "100 %": 1.0}
    for (kind, without, rows), shots in zip(asked, (2, 20, 200), strict=True):
        assert kind == "supervised" and set(without) == {"jitter", "grey"}
        assert chapter["y"][rows].bincount().tolist() == [shots] * 12
    assert set(asked[0][2].tolist()) < set(asked[1][2].tolist())  # more labels, the same and others


def test_probes_find_what_is_there_and_only_that(chapter):
    y, y_test = (nn.functional.one_hot(chapter[name], 12).float() for name in ("y", "y_test"))
    assert set(chapter["probed"](y, y_test).values()) == {1.0}
    noise = [torch.randn(len(z), 4, generator=seeded(len(z))) for z in (y, y_test)]
    assert max(chapter["probed"](*noise).values()) < 1 / 12 + 0.06
    light = chapter["light"], chapter["light_test"]
    assert chapter["nuisance"](*light) == pytest.approx({"gain": 1, "offset": 1}, abs=1e-3)
    assert max(map(abs, chapter["nuisance"](*noise).values())) < 0.05


def test_scenes_have_no_known_light_and_are_turned():
    source = text(CHAPTER)
    space = namespace(source, dataset="rsscn7", device="cpu")
    assert space["SCENES"] and space["law"]([]).turn == 0.5
    space["light"] = None
    assert space["nuisance"](None, None) == {}


def test_a_random_queue_costs_what_the_exercise_says(chapter):
    assert chapter["at_start"](1.0, 1024, 0.2) == pytest.approx(math.log(1 + 1024 * math.exp(-5)))


@pytest.mark.slow
def test_each_ablation_lacks_what_its_name_says(chapter):
    (cell,) = [code for _, code in cells(text(CHAPTER)) if code.startswith("FOUR =")]
    variants = run(cell, chapter | {"variants": "bands"}, "variants")["VARIANTS"]
    for arm in chapter["AUGMENTATIONS"]:
        assert variants[f"no-{arm}"] == ("moco", [arm])
    for name in chapter["FOUR"]:
        assert variants[name] == (name, [])
    assert variants["untrained"][1] is None and variants["bands"] is variants["supervised"] is None


def test_probes_are_judged_on_test_images(chapter, monkeypatch):
    y, y_test = (nn.functional.one_hot(chapter[name], 12).float() for name in ("y", "y_test"))
    monkeypatch.setitem(chapter, "y_test", (chapter["y_test"] + 1) % 12)
    assert set(chapter["probed"](y, y_test).values()) == {0.0}
