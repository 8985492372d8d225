"""gallery/byol_in_one_page: the page stands alone, is the package's BYOL, and its variants differ
where they say so."""

import ast

import pytest
import torch
from chapter_cells import broken, check, namespace, run, tagged, text
from torch import nn

CHAPTER = "gallery/byol_in_one_page"
SMALL = {"steps": 6, "batch_size": 16, "device": "cpu"}
BREAKS = [  # a line of the page, and what it could be by mistake
    ("p_a, p_b = predictor(online(a)), predictor(online(b))", "p_a, p_b = online(a), online(b)"),
    ("t_a, t_b = target(a).detach()", "t_a, t_b = online(a).detach()"),
    ("(1 - momentum) * cosine", "1 - momentum * cosine"),
    ('optimiser.param_groups[0]["lr"] = lr * cosine', 'optimiser.param_groups[0]["lr"] = lr'),
    ("nn.Linear(hidden, head_dim, bias=False)", "nn.Linear(hidden, head_dim)"),
    ("F.cosine_similarity(p_a, t_b)", "F.cosine_similarity(p_a, t_a)"),
]


def page(source=None):
    (cell,) = tagged(source or text(CHAPTER), "page")
    return cell


@pytest.fixture(scope="module")
def chapter():
    """The chapter's names once its page has run, on few images and steps."""
    space = namespace(text(CHAPTER), **SMALL)
    return run(page(), space, "page")


def test_the_page_is_one_and_needs_nothing_of_ours():
    assert len(page().splitlines()) <= 60
    imports = [node for node in ast.walk(ast.parse(page())) if isinstance(node, ast.Import)]
    froms = [node for node in ast.walk(ast.parse(page())) if isinstance(node, ast.ImportFrom)]
    names = {alias.name for node in imports for alias in node.names}
    names |= {node.module for node in froms}
    assert {name.split(".")[0] for name in names} == {"copy", "math", "torch", "sklearn"}
    draw = torch.Generator().manual_seed(0)
    y = torch.arange(40) % 4
    x = (y / 4).view(-1, 1, 1, 1) + 0.1 * torch.rand(40, 1, 8, 8, generator=draw)
    given = {"x": x, "y": y, "x_test": x, "y_test": y, "seed": 0, "lr": 1e-3, "momentum": 0.9}
    sizes = {"latent_dim": 4, "head_dim": 4, "steps": 3, "batch_size": 8}
    found = run(page(), given | sizes, "page")
    assert len(found["history"]) == 3 and found["accuracy"] > 0.5


@pytest.mark.slow
@pytest.mark.parametrize("change", [None, *BREAKS], ids=range(len(BREAKS) + 1))
def test_the_page_is_the_packages_byol_and_a_break_is_seen(change):
    source = text(CHAPTER)
    (same,) = tagged(source, "same")
    space = run(broken(page(), change), namespace(source, **SMALL), "page")
    check(same, space, "same", change)


def test_the_views_keep_the_range_and_follow_their_generator(chapter):
    x, view = chapter["x"][:50], chapter["view"]
    one, again, other = (view(x, torch.Generator().manual_seed(s)) for s in (1, 1, 2))
    assert one.shape == x.shape and one.min() >= 0 and one.max() <= 1
    assert torch.equal(one, again) and not torch.equal(one, other)


def test_variants_differ_from_byol_where_they_say_so(chapter):
    made = chapter["made"]
    views = torch.rand(16, 2, 1, 8, 8, generator=torch.Generator().manual_seed(0))
    byol, alone = made("byol"), made("no-predictor")
    z1, z2 = byol.project(views)
    targets = [byol.target_projector(byol.target_encoder(v)) for v in views.unbind(1)]
    cosine = nn.functional.cosine_similarity
    by_hand = 2 - cosine(z1, targets[1]).mean() - cosine(z2, targets[0]).mean()
    torch.testing.assert_close(alone.loss(views)[0], by_hand)
    assert byol.loss(views)[0] != by_hand

    for name, weights in {"online-target": 0.0, "frozen-target": 1.0}.items():
        method = made(name)
        before = [p.clone() for p in method.target_encoder.parameters()]
        with torch.no_grad():
            for p in method.encoder.parameters():
                p.add_(1.0)
        method.after_step(1, 10)
        for old, new in zip(before, method.target_encoder.parameters(), strict=True):
            torch.testing.assert_close(new, old + 1 - weights)
        alone = made(f"{name}-alone")
        assert alone.target == method.target and method.predicts and not alone.predicts

    heads = {name: made(name).projector for name in ("byol", "no-batch-norm", "layer-norm")}
    kinds = {name: [type(layer) for layer in head] for name, head in heads.items()}
    assert kinds["no-batch-norm"] == [nn.Linear, nn.ReLU, nn.Linear]
    assert kinds["layer-norm"] == [nn.Linear, nn.LayerNorm, nn.ReLU, nn.Linear]
    assert kinds["byol"] == [nn.Linear, nn.BatchNorm1d, nn.ReLU, nn.Linear]
    for name in ("no-batch-norm", "layer-norm"):
        assert not any(isinstance(m, nn.BatchNorm1d) for m in made(name).modules())


def test_variants_start_from_the_same_weights(chapter):
    encoders = [chapter["made"](name).encoder for name in chapter["VARIANTS"]]
    first = torch.cat([p.flatten() for p in encoders[0].parameters()])
    for encoder in encoders[1:]:
        assert torch.equal(torch.cat([p.flatten() for p in encoder.parameters()]), first)


def test_gauge_of_a_ball_and_of_a_point(chapter):
    ball = torch.randn(5000, 32, generator=torch.Generator().manual_seed(0))
    assert chapter["gauge"](ball) == pytest.approx(1, abs=0.01)
    assert chapter["gauge"](torch.ones(50, 32)) == pytest.approx(0, abs=1e-6)
