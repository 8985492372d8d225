"""Few-shot probes beside scikit-learn, and what makes their comparisons fair."""

import numpy as np
import pytest
import torch
from sklearn.linear_model import LogisticRegression
from sklearn.neighbors import KNeighborsClassifier

from mdlib.evaluation.probes import few_shot


def blobs(n=300, m=200, classes=4, spread=2.0, seed=0):
    """Gaussian classes of unequal column scales: train codes, labels, test codes, labels."""
    draw = torch.Generator().manual_seed(seed)
    labels = torch.arange(n + m) % classes
    centres = torch.randn(classes, 5, generator=draw, dtype=torch.float64)
    x = centres[labels] + spread * torch.randn(n + m, 5, generator=draw).double()
    x = x * torch.tensor([1.0, 10, 0.1, 1, 1]) + 3
    return x[:n], labels[:n], x[n:], labels[n:]


@pytest.mark.parametrize("shots", [1, 5])
@pytest.mark.parametrize("classifier", ["centroid", "linear"])
def test_each_draw_is_scikits_classifier_on_those_samples(classifier, shots):
    x, y, new, truth = blobs()
    result = few_shot(x, y, new, truth, shots=shots, draws=6, seed=3, classifier=classifier)
    mean, std = x.mean(0), x.std(0, correction=0)
    a, b = (x - mean) / std, (new - mean) / std
    draw = torch.Generator().manual_seed(3)
    expected = []
    for _ in range(6):
        rows = torch.cat(
            [(y == c).nonzero()[:, 0][torch.randperm(75, generator=draw)[:shots]] for c in range(4)]
        )
        if classifier == "centroid":
            centres = np.stack([a[rows[y[rows] == c]].mean(0) for c in range(4)])
            model = KNeighborsClassifier(1).fit(centres, range(4))
        else:
            model = LogisticRegression(C=1.0, tol=1e-8, max_iter=5000).fit(a[rows], y[rows])
        expected.append((model.predict(b) == truth.numpy()).mean())
    np.testing.assert_allclose(result.scores, expected, atol=0.011)  # a test sample or two on edge
    assert result.score == pytest.approx(result.scores.mean().item())
    assert result.scores.std() > 0


def test_draws_depend_on_the_seed_and_the_labels_alone():
    x, y, new, truth = blobs()
    state = torch.get_rng_state()
    first, other = few_shot(x, y, new, truth, shots=2), few_shot(x, y, new, truth, shots=2, seed=1)
    assert torch.equal(torch.get_rng_state(), state)
    assert len(first.scores) == 20 and not torch.equal(first.scores, other.scores)
    # The same code, in other units and under other names of classes: the same draws and scores.
    names = torch.tensor([7, 30, 31, 90])
    again = few_shot(5 - 2 * x, names[y], 5 - 2 * new, names[truth], shots=2)
    assert torch.equal(first.scores, again.scores)


def test_more_shots_and_better_codes_score_better_and_noise_is_chance():
    x, y, new, truth = blobs(spread=0.5)
    one, ten = (few_shot(x, y, new, truth, shots=n).score for n in (1, 10))
    assert 0.5 < one < ten - 0.02
    for classifier in ("centroid", "linear"):
        noise = few_shot(
            torch.randn(300, 5, generator=torch.Generator().manual_seed(1)), y,
            torch.randn(200, 5, generator=torch.Generator().manual_seed(2)), truth,
            shots=5, classifier=classifier,
        )  # fmt: skip
        assert noise.score == pytest.approx(0.25, abs=0.05)


def test_a_strong_penalty_leaves_directions_only_and_inference_mode_is_no_trouble():
    x, y, new, truth = blobs()
    with torch.inference_mode():
        weak = few_shot(x, y, new, truth, shots=5, classifier="linear", penalty=1e-2)
        strong = few_shot(x, y, new, truth, shots=5, classifier="linear", penalty=1e3)
    assert not torch.equal(weak.scores, strong.scores)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"shots": 0}, "shots=0: expected a whole number"),
        ({"seed": 1.5}, "seed=1.5: expected a whole number"),
        ({"draws": 0}, "draws=0: expected a whole number"),
        ({"penalty": -1}, "penalty=-1: expected a number above 0"),
        ({"classifier": "svm"}, "classifier='svm': expected one of"),
        ({"shots": 76}, "class 0 has 75 training samples, expected at least 76, the shots"),
    ],
)
def test_settings_without_sense_are_refused(changes, message):
    with pytest.raises(ValueError, match=message):
        few_shot(*blobs(), **({"shots": 1} | changes))


def test_bad_codes_and_labels_are_refused():
    x, y, new, truth = blobs()
    cases = {
        "train targets have shape": (x, y[1:], new, truth),
        "test codes hold inf": (x, y, new.abs() / 0, truth),
        r"test classes \[9\] are not in training": (x, y, new, truth.clone().fill_(9)),
        "expected at least 2 classes": (x, 0 * y, new, 0 * truth),
    }
    for message, given in cases.items():
        with pytest.raises(ValueError, match=message):
            few_shot(*given, shots=1)
