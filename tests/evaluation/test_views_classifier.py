"""The classifier of views: what it is told it says, of real views and of changed ones."""

import pytest
import torch

from mdlib import data
from mdlib.evaluation import views_classifier
from mdlib.evaluation.views_classifier import ViewsClassifier, train_views_classifier
from mdlib.views import Views, circular, style

LAW = Views(rotation=45, brightness=0.5)


@pytest.fixture(scope="module")
def trained():
    train = data.load("digits", size=8)
    return train_views_classifier(train, LAW, steps=400, arch="mlp-small"), data.load(
        "digits", "test", size=8
    )


def views_of(split, seed):
    x, parameters = LAW(split.images, 1, torch.Generator().manual_seed(seed))
    return x[:, 0], torch.cat([*style(parameters).values()], 1)


@pytest.mark.slow
def test_it_recognises_class_and_style_of_new_images(trained):
    classifier, test = trained
    x, truth = views_of(test, 1)
    right, r2 = classifier.agreement(x, test.labels, truth)
    assert right > 0.85 and (r2 > 0.5).all() and r2.shape == (2,)


def test_agreement_is_that_of_its_predictions(trained):
    classifier, test = trained
    x, truth = views_of(test, 2)
    classes, predicted = classifier.predict(x)
    right, r2 = classifier.agreement(x, test.labels, truth)
    assert right == (classes == test.labels).float().mean().item()
    from sklearn.metrics import r2_score

    expected = r2_score(truth, predicted, multioutput="raw_values")
    assert r2.tolist() == pytest.approx(expected.tolist(), abs=1e-4)


def test_other_images_do_not_agree(trained):
    classifier, test = trained
    x, truth = views_of(test, 3)
    wrong = classifier.agreement(x, test.labels.roll(1), truth.roll(1, 0))
    assert wrong[0] < 0.35 and (wrong[1] < 0).all()


def test_style_has_the_columns_it_was_given():
    def columns(parameters):
        return circular(style(parameters), "hue")

    train = data.load("digits", size=8).sample(200).painted()
    classifier = train_views_classifier(
        train, Views(hue=0.5), columns=columns, steps=5, batch_size=32
    )
    assert classifier.predict(train.images)[1].shape == (200, 2)


def test_training_leaves_global_randomness_alone():
    train = data.load("digits", size=8).sample(100)
    torch.manual_seed(5)
    expected = torch.rand(3)
    torch.manual_seed(5)
    a = train_views_classifier(train, LAW, steps=3, batch_size=16, arch="mlp-small")
    assert torch.equal(torch.rand(3), expected)
    b = train_views_classifier(train, LAW, steps=3, batch_size=16, arch="mlp-small")
    for one, other in zip(a.parameters(), b.parameters(), strict=True):
        assert torch.equal(one, other)


def test_a_parameter_that_the_law_never_changes_does_not_stop_training():
    train = data.load("digits", size=8).sample(100)
    law = Views(hflip=1.0, rotation=10)
    found = train_views_classifier(train, law, steps=3, batch_size=16, arch="mlp-small")
    assert found.predict(train.images)[1].isfinite().all()


def test_the_loss_is_cross_entropy_and_squared_error_of_standardised_style():
    torch.manual_seed(0)
    classifier = ViewsClassifier(
        (1, 8, 8), 4, 3, torch.tensor([1.0, 2.0]), torch.tensor([2.0, 4.0])
    )
    x, parameters = LAW(torch.rand(5, 1, 8, 8), 2, torch.Generator().manual_seed(0))
    labels = torch.tensor([0, 1, 2, 0, 1])
    total, terms = classifier.loss(x, labels=labels, parameters=parameters)
    features = classifier.encoder(x.flatten(0, 1))
    truth = torch.stack([*style(parameters).values()], -1).flatten(0, 1)
    expected = torch.nn.functional.cross_entropy(
        classifier.head(features), labels.repeat_interleave(2)
    )
    torch.testing.assert_close(terms["class"], expected)
    error = classifier.style_head(features) - (truth - torch.tensor([1.0, 2])) / torch.tensor(
        [2.0, 4]
    )
    torch.testing.assert_close(terms["style"], error.square().mean())
    torch.testing.assert_close(total, terms["class"] + terms["style"])


def test_style_is_standardised_as_the_law_draws_it_and_the_seed_reaches_training(monkeypatch):
    train, seen = data.load("digits", size=8).sample(100), []
    monkeypatch.setattr(views_classifier, "fit", lambda *_, seed, **options: seen.append(seed))
    law = Views(crop=(0.4, 0.6), brightness=0.5)
    classifier = train_views_classifier(train, law, seed=3, arch="mlp-small")
    assert seen == [3]
    truth = law(train.images[:1].expand(50_000, -1, -1, -1), 1, torch.Generator().manual_seed(9))[1]
    truth = torch.cat([*style(truth).values()], 1)
    error = 5 * truth.std(0) / 4096**0.5
    assert ((classifier.means - truth.mean(0)).abs() < error).all()
    torch.testing.assert_close(classifier.deviations, truth.std(0), rtol=0.1, atol=0)
    assert (truth.mean(0).abs() > 10 * error).any()
