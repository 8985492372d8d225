"""The training loop: what it returns, that it resumes exactly, and how it stops."""

import linecache
import math
import multiprocessing
import os
import signal
import time
from argparse import Namespace
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from itertools import chain
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from torch import nn

from mdlib import methods
from mdlib.devices import pick_device
from mdlib.registry import seeded
from mdlib.training import (
    Batch,
    ImageViews,
    Probe,
    Rank,
    SampleViews,
    TrainingDiverged,
    Watch,
    fit,
)
from mdlib.training.callbacks import effective_rank
from mdlib.views import Views

SHAPE = (1, 8, 8)
IMAGES = torch.randint(256, (50, *SHAPE), dtype=torch.uint8, generator=torch.Generator())
VIEWS = Views(crop=(0.5, 1.0), noise=0.05)


def make(name="simve"):
    return methods.create(name, image_shape=SHAPE, latent_dim=3)


def train(method, images=IMAGES, law=VIEWS, members=2, labels=None, **changes):
    settings = {"steps": 30, "batch_size": 16, "seed": 1, "device": "cpu", "progress": False}
    return fit(method, ImageViews(images, law, members, labels), **settings | changes)


def same_weights(a, b):
    pairs = zip(a.state_dict().values(), b.state_dict().values(), strict=True)
    return all(torch.equal(x, y) for x, y in pairs)


def test_history_has_a_row_a_step_and_a_column_a_term():
    history = train(make())
    assert list(history.columns) == ["loss", "reconstruction", "group_prior", "entropy"]
    assert list(history.index) == list(range(1, 31))
    assert history.loss.iloc[-5:].mean() < history.loss.iloc[:5].mean()


class Terms(nn.Module):
    """Its terms come in another order, or are others, from the third step on."""

    def __init__(self, later):
        super().__init__()
        self.w, self.later, self.steps = nn.Parameter(torch.zeros(())), later, 0

    def loss(self, views, generator):
        self.steps += 1
        names = "ab" if self.steps < 3 else self.later
        return self.w, {name: torch.tensor(float(ord(name))) for name in names}

    def after_step(self, step, steps):
        pass


def test_terms_are_known_by_their_names_not_by_their_order():
    history = train(Terms("ba"), steps=4)
    assert list(history.columns) == ["loss", "a", "b"]
    assert history.a.tolist() == [97.0] * 4 and history.b.tolist() == [98.0] * 4


@pytest.mark.parametrize("later", ["a", "abc", "ac"])
def test_a_step_with_other_terms_is_named(later):
    with pytest.raises(ValueError, match=r"step 3: terms \[.*\], expected \['a', 'b'\], as at"):
        train(Terms(later), steps=4)


def test_epochs_are_counted_in_whole_batches():
    assert len(train(make(), steps=None, epochs=2)) == 2 * (50 // 16)


def test_one_epoch_sees_every_image_at_most_once_and_the_next_another_order():
    seen = []

    class Spy(nn.Module):
        def __init__(self):
            super().__init__()
            self.w = nn.Parameter(torch.zeros(()))

        def loss(self, views, generator):
            seen.append(views[:, 0, 0, 0, 0].tolist())
            return self.w.square(), {}

        def after_step(self, step, steps):
            pass

    # Every image is one grey level: its own name.
    images = torch.arange(48, dtype=torch.uint8).view(48, 1, 1, 1).expand(48, 1, 4, 4)
    identity = lambda x, members, generator: (x[:, None].float(), {})  # noqa: E731
    train(Spy(), images, identity, members=1, epochs=2, steps=None)
    first, second = list(chain(*seen[:3])), list(chain(*seen[3:]))
    assert sorted(first) == sorted(second) == list(range(48))
    assert first != second


def test_the_seed_decides_everything():
    same, again, other = make(), make(), make()
    state = torch.get_rng_state()
    train(same)
    train(again)
    train(other, seed=2)
    assert same_weights(same, again)
    assert not same_weights(same, other)
    assert torch.equal(state, torch.get_rng_state())


def test_a_method_with_a_hook_gets_it_after_each_step():
    byol = make("byol")
    before = byol.target_encoder[1].weight.clone()
    train(byol, steps=3)
    assert not torch.equal(before, byol.target_encoder[1].weight)


def test_clip_bounds_the_step_of_plain_gradients():
    class Slope(nn.Module):
        def __init__(self):
            super().__init__()
            self.w = nn.Parameter(torch.zeros(4))
            self.norms = []

        def loss(self, views, generator):
            return 1000 * self.w.sum(), {}

        def after_step(self, step, steps):
            self.norms.append(self.w.grad.norm().item())

    free, clipped = Slope(), Slope()
    train(free, steps=2)
    train(clipped, steps=2, clip=1.0)
    assert free.norms == pytest.approx([2000.0, 2000.0])
    assert clipped.norms == pytest.approx([1.0, 1.0], rel=1e-4)


def test_cosine_schedule_ends_where_nothing_moves():
    class Steps(nn.Module):
        def __init__(self):
            super().__init__()
            self.w = nn.Parameter(torch.zeros(()))
            self.path = [0.0]

        def loss(self, views, generator):
            return self.w, {}

        def after_step(self, step, steps):
            self.path.append(self.w.item())

    constant, cosine = Steps(), Steps()
    train(constant, steps=10, schedule="constant", lr=0.1)
    train(cosine, steps=10, lr=0.1)
    moves = [b - a for a, b in zip(constant.path, constant.path[1:], strict=False)]
    assert moves == pytest.approx([-0.1] * 10, rel=1e-3)  # Adam's step is the rate itself
    moves = [b - a for a, b in zip(cosine.path, cosine.path[1:], strict=False)]
    assert moves[0] == pytest.approx(-0.1, rel=1e-3)
    assert moves[5] == pytest.approx(-0.05, rel=1e-2)
    assert -0.005 < moves[-1] < 0


# --- what a loss uses beside views --------------------------------------------------------------


class Listener(nn.Module):
    """Learns nothing, and remembers what it was handed."""

    classes = None

    def __init__(self, *uses):
        super().__init__()
        self.uses = uses
        self.w = nn.Parameter(torch.zeros(()))
        self.heard = []

    def loss(self, views, generator, **extras):
        self.heard.append((views, extras))
        return self.w.square(), {}

    def after_step(self, step, steps):
        pass


def test_labels_come_with_their_images():
    # Every image is one grey level, and its label is that.
    images = torch.arange(48, dtype=torch.uint8).view(48, 1, 1, 1).expand(48, 1, 4, 4)
    identity = lambda x, members, generator: (x[:, None].float(), {})  # noqa: E731
    listener = Listener("labels")
    labels = torch.arange(48, dtype=torch.int32)
    train(listener, images, identity, members=1, labels=labels, epochs=2, steps=None)
    assert len(listener.heard) == 6
    for views, extras in listener.heard:
        assert extras.keys() == {"labels"} and extras["labels"].dtype == torch.int64
        assert views[:, 0, 0, 0, 0].tolist() == extras["labels"].tolist()


def test_parameters_are_those_that_made_the_views():
    listener = Listener("parameters")
    train(listener, steps=2)
    for views, extras in listener.heard:
        assert extras.keys() == {"parameters"}
        assert {n: p.shape for n, p in extras["parameters"].items()} == {
            "crop": (16, 2, 4), "noise": (16, 2, 1),
        }  # fmt: skip
        assert views.shape == (16, 2, *SHAPE)


def test_an_index_is_its_images_row_in_the_training_set():
    images = torch.arange(48, dtype=torch.uint8).view(48, 1, 1, 1).expand(48, 1, 4, 4)
    identity = lambda x, members, generator: (x[:, None].float(), {})  # noqa: E731
    listener = Listener("index")
    listener.instances = 48
    train(listener, images, identity, members=1, epochs=2, steps=None)
    assert len(listener.heard) == 6
    for views, extras in listener.heard:
        assert extras.keys() == {"index"} and extras["index"].dtype == torch.int64
        assert views[:, 0, 0, 0, 0].tolist() == extras["index"].tolist()


def test_more_images_than_instances_are_refused_before_any_step():
    listener = Listener("index")
    listener.instances = 49
    with pytest.raises(ValueError, match="50 images: Listener was made for 49; see its option"):
        train(listener)
    assert not listener.heard


def test_who_uses_nothing_is_handed_nothing():
    listener = Listener()
    train(listener, labels=torch.zeros(50, dtype=torch.int64), steps=1)
    assert listener.heard[0][1] == {}


@pytest.mark.parametrize(
    ("labels", "message"),
    [
        (None, "Supervised learns from labels: give the source labels=one integer a sample"),
        (torch.zeros(49, dtype=torch.int64), r"labels of torch.int64 \(49,\): .* the 50 samples"),
        (torch.zeros(50, 2, dtype=torch.int64), r"labels of torch.int64 \(50, 2\): expected"),
        (torch.zeros(50), r"labels of torch.float32 \(50,\): expected integers"),
        (torch.arange(50), r"labels from 0 to 49: Supervised was made for 0 to 9; see its option"),
        (torch.arange(50) % 10 - 1, "labels from -1 to 8: Supervised was made for 0 to 9"),
    ],
)
def test_labels_that_do_not_fit_are_refused_before_any_step(labels, message):
    method = make("supervised")
    before = [p.clone() for p in method.parameters()]
    with pytest.raises(ValueError, match=message):
        train(method, labels=labels)
    assert all(torch.equal(a, b) for a, b in zip(before, method.parameters(), strict=True))


def test_a_checkpoint_of_other_labels_is_refused(tmp_path):
    path, labels = tmp_path / "a.pt", torch.arange(50) % 10
    train(make("supervised"), labels=labels, checkpoint=path, steps=3)
    with pytest.raises(ValueError, match="belongs to another run: labels was"):
        train(make("supervised"), labels=labels.flip(0), checkpoint=path, steps=3)
    again = train(make("supervised"), labels=labels, checkpoint=path, steps=3)
    assert len(again) == 3


# --- checkpoints ------------------------------------------------------------------------------


def test_stopping_and_resuming_gives_the_bits_of_never_stopping(tmp_path):
    class Stop(Exception):
        pass

    whole = make("byol")
    expected = train(whole)
    path = tmp_path / "byol.pt"
    for stop_at in (7, 19):  # in the middle of an epoch, and between two checkpoints
        stopped = make("byol")

        def stop(step, method, history, stop_at=stop_at):
            if step == stop_at + 1:
                raise Stop

        with pytest.raises(Stop):
            train(stopped, checkpoint=path, checkpoint_every=5, callbacks=[stop])
    resumed = make("byol")
    history = train(resumed, checkpoint=path, checkpoint_every=5)
    assert same_weights(whole, resumed)
    assert history.equals(expected)
    # Done is done: a third call trains no further.
    again = make("byol")
    assert train(again, checkpoint=path, checkpoint_every=5).equals(expected)
    assert same_weights(again, whole)


# Forks of a server that has only imported: torch's first imports take several seconds a process.
SERVER = multiprocessing.get_context("forkserver")
SERVER.set_forkserver_preload(["mdlib.training", "mdlib.methods", "mdlib.views", "torch._dynamo"])


@contextmanager
def started(work, path):
    """A process that does `work(path, tell)`, and the pipe from which to hear what it tells."""
    told, tell = SERVER.Pipe(duplex=False)
    process = SERVER.Process(target=work, args=(path, tell))
    process.start()
    tell.close()  # the pipe is to end with the process
    try:
        yield process, told
    finally:
        process.kill()
        process.join()


def wait_for_step(told, step):
    while told.recv() < step:  # EOFError if the process ends before
        pass


def train_slowly(path, tell):
    method = make("byol")

    def slow(step, method, history):
        tell.send(step - 1)
        time.sleep(0.02)

    try:
        train(method, checkpoint=path, checkpoint_every=4, steps=60, callbacks=[slow])
    except KeyboardInterrupt as stop:
        tell.send(str(stop))
        raise


@pytest.mark.slow
def test_a_killed_process_resumes_with_the_bits_of_one_never_stopped(tmp_path):
    path = tmp_path / "byol.pt"
    for step in (6, 23):
        with started(train_slowly, path) as (process, told):
            wait_for_step(told, step)
            os.kill(process.pid, signal.SIGKILL)
            process.join(30)
            assert process.exitcode == -signal.SIGKILL
    assert 20 <= torch.load(path, weights_only=True)["history"].shape[0] < 60
    resumed, whole = make("byol"), make("byol")
    history = train(resumed, checkpoint=path, checkpoint_every=4, steps=60)
    assert history.equals(train(whole, steps=60))
    assert same_weights(resumed, whole)
    assert [p.name for p in tmp_path.iterdir() if not p.name.startswith(".")] == ["byol.pt"]


@pytest.mark.slow
def test_ctrl_c_leaves_a_checkpoint_of_the_step_it_finished(tmp_path):
    path = tmp_path / "byol.pt"
    with started(train_slowly, path) as (process, told):
        wait_for_step(told, 9)
        os.kill(process.pid, signal.SIGINT)
        while not isinstance(message := told.recv(), str):
            pass
        process.join(30)
        assert process.exitcode == 1
    done = torch.load(path, weights_only=True)["history"].shape[0]
    assert done % 4 or done > 9  # more than the last regular checkpoint
    assert message == f"stopped after step {done} of 60, saved"
    resumed, whole = make("byol"), make("byol")
    train(resumed, checkpoint=path, checkpoint_every=4, steps=60)
    train(whole, steps=60)
    assert same_weights(resumed, whole)


def test_a_checkpoint_of_other_settings_is_refused_and_kept(tmp_path):
    path = tmp_path / "a.pt"
    train(make(), checkpoint=path, steps=3)
    before = path.read_bytes()
    with pytest.raises(ValueError, match=r"belongs to another run: lr was 0.001, now 0.01"):
        train(make(), checkpoint=path, steps=3, lr=0.01)
    other = methods.create("simve", image_shape=SHAPE, latent_dim=3, variance=0.3)
    with pytest.raises(ValueError, match=r"variance=0.15.*variance=0.3"):
        train(other, checkpoint=path, steps=3)
    assert path.read_bytes() == before


@pytest.mark.parametrize("damage", [lambda b: b[: len(b) // 2], lambda b: b"", lambda b: b"x" * 99])
def test_a_damaged_checkpoint_is_named(tmp_path, damage):
    path = tmp_path / "a.pt"
    train(make(), checkpoint=path, steps=3)
    path.write_bytes(damage(path.read_bytes()))
    with pytest.raises(ValueError, match=r"a\.pt is no checkpoint .* or is damaged: delete it"):
        train(make(), checkpoint=path, steps=3)


def test_a_checkpoint_with_code_in_it_is_not_run(tmp_path):
    class Evil:
        def __reduce__(self):
            return (os.mkdir, (str(tmp_path / "owned"),))

    path = tmp_path / "a.pt"
    torch.save(Evil(), path)
    with pytest.raises(ValueError, match="no checkpoint"):
        train(make(), checkpoint=path)
    assert not (tmp_path / "owned").exists()


@pytest.mark.parametrize(
    "numbers",
    [{"seed": np.int64(2)}, {"steps": np.int64(3)}, {"lr": np.float32(1e-3)},
     {"clip": np.float32(1)}, {"weight_decay": np.float32(0)}, {"batch_size": np.int64(8)},
     {"steps": None, "epochs": np.int64(1)}],
)  # fmt: skip
def test_numpys_numbers_are_numbers(numbers, tmp_path):
    settings = {"steps": 3, "checkpoint": tmp_path / "a.pt"} | numbers
    seed = np.int64(1)
    make = partial(methods.create, "simve", image_shape=SHAPE, latent_dim=3, seed=seed)
    first = train(make(), **settings)
    assert first.equals(train(make(), **settings))
    as_python = {k: getattr(v, "item", lambda v=v: v)() for k, v in settings.items()}
    assert first.equals(train(make(), **as_python))


@pytest.mark.parametrize("place", ["a file/a.pt", 250 * "a", "/proc/a.pt"])
def test_a_place_where_nothing_can_be_written_is_refused_before_any_step(place, tmp_path):
    (tmp_path / "a file").touch()
    method = Own(1)
    with pytest.raises(ValueError, match=r"checkpoint='.*' can't be written \(.*\): give the name"):
        train(method, checkpoint=tmp_path / place)
    assert method.held == 0
    assert [p.name for p in tmp_path.iterdir()] == ["a file"]


def test_what_no_checkpoint_can_hold_is_refused_before_any_step(tmp_path):
    source, method = ImageViews(IMAGES, VIEWS), Own(1)
    source.fingerprint = lambda: {"rows": np.int64(50)}
    with pytest.raises(ValueError, match="int64 is not JSON serializable, and it keeps the source"):
        fit(method, source, steps=1, batch_size=8, checkpoint=tmp_path / "a.pt", device="cpu")
    assert method.held == 0


# --- what goes wrong --------------------------------------------------------------------------


class Breaks(nn.Module):
    """A loss that turns bad at a given step, or whose gradient does."""

    def __init__(self, at, weight_only=False):
        super().__init__()
        self.w = nn.Parameter(torch.ones(2))
        self.at, self.weight_only, self.step = at, weight_only, 0

    def loss(self, views, generator):
        self.step += 1
        good = self.w.square().sum()
        if self.step < self.at:
            bad = good * 0
        elif self.weight_only:
            bad = (self.w * 0).sqrt().sum()  # finite, but its gradient is not
        else:
            bad = good * float("nan")
        return good + bad, {"good": good, "bad": bad}

    def after_step(self, step, steps):
        pass


def test_a_nan_stops_the_run_and_names_step_term_and_checkpoint(tmp_path):
    path = tmp_path / "a.pt"
    with pytest.raises(TrainingDiverged, match=r"step 12: loss = nan, bad = nan") as error:
        train(Breaks(at=12), checkpoint=path, checkpoint_every=5)
    assert f"last good checkpoint is {path} (step 10)" in str(error.value)
    assert torch.load(path, weights_only=True)["method"]["w"].isfinite().all()
    with pytest.raises(TrainingDiverged, match=r"step 3: .* No checkpoint was asked for"):
        train(Breaks(at=3))


def test_weights_that_are_not_finite_are_never_saved(tmp_path):
    path = tmp_path / "a.pt"
    # The 10th loss is still finite; only the weights after its step are not.
    with pytest.raises(TrainingDiverged, match="step 10: weight w is not finite") as error:
        train(Breaks(at=10, weight_only=True), checkpoint=path, checkpoint_every=5)
    assert "(step 5)" in str(error.value)


@pytest.mark.parametrize("steps", [1, 7, 50])
def test_weights_that_are_not_finite_stop_a_training_that_saves_nothing(steps):
    with pytest.raises(TrainingDiverged, match=f"step {steps}: weight w is not finite. No check"):
        train(Breaks(at=steps, weight_only=True), steps=steps)


def every(steps):
    watch = Watch(len)
    watch.every = steps
    return watch


@pytest.mark.parametrize(
    "found",
    [
        lambda w: w, lambda w: (w, {}, 1), lambda w: (w, [w]), lambda w: (w[None], {}),
        lambda w: (w, {"a": 1.0}), lambda w: (w, {"a": w[None]}), lambda w: (w, {"loss": w}),
    ],
)  # fmt: skip
def test_a_loss_that_is_none_is_refused_before_a_weight_moves(found):
    method = Own(1)
    method.loss = lambda views, generator: found(method.w.sum())
    with pytest.raises(ValueError, match=r"Own.loss gave .*: expected \(the total to minimise"):
        train(method, steps=1)
    assert torch.equal(method.w, torch.ones(64))


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"batch_size": 51}, "batch_size=51 is more than the 50 samples"),
        ({"batch_size": 0}, "batch_size=0: expected"),
        ({"members": 0}, "members=0: expected a whole number of at least 1"),
        ({"clip": 0.0}, "clip=0.0: expected a number above 0"),
        ({"weight_decay": -1.0}, "weight_decay=-1.0: expected 0 or"),
        ({"lr": -1.0}, "lr=-1.0: expected"),
        ({"schedule": "linear"}, "schedule='linear': expected one of"),
        ({"epochs": 2}, "give exactly one"),
        ({"steps": None}, "give exactly one"),
        ({"steps": 0}, "steps=0: expected a whole number of at least 1"),
        ({"checkpoint_every": 0}, "checkpoint_every=0: expected a whole number of at least 1"),
        ({"callbacks": None}, "callbacks=None: expected a list of functions, .. for none"),
        ({"callbacks": print}, "callbacks=<built-in function print>: expected a list"),
        ({"callbacks": [1]}, "callbacks=.1.: expected a list of functions"),
        ({"callbacks": [Watch]}, "callbacks=.<class .*: expected a list of functions"),
        ({"callbacks": [SimpleNamespace(every=0)]}, "callbacks=.namespace"),
        ({"callbacks": [every(0)]}, "every=0: expected a whole number of at least 1"),
        ({"callbacks": [every(None)]}, "every=None: expected a whole number of at least 1"),
        ({"device": "gpu"}, "device='gpu': expected auto, cpu"),
        ({"device": "cuda:99"}, "device='cuda:99' is not on this machine"),
    ],
)
def test_settings_without_sense_are_refused_before_any_step(changes, message):
    method = make()
    before = [p.clone() for p in method.parameters()]
    with pytest.raises(ValueError, match=message):
        train(method, **changes)
    assert all(torch.equal(a, b) for a, b in zip(before, method.parameters(), strict=True))


@pytest.mark.parametrize(
    ("law", "gave"),
    [
        (lambda images, members, generator: images, "a Tensor"),
        (lambda images, members, generator: (images, {}, 1), "a tuple"),
        (lambda images, members, generator: (images[1:, None], {}), r"\[15, 1, 1, 8, 8\]"),
        (lambda images, members, generator: (images[:, None], {}), r"\[16, 1, 1, 8, 8\]"),
    ],
)
def test_a_law_that_gives_no_views_is_named(law, gave):
    source = ImageViews(IMAGES, law, 2)
    with pytest.raises(ValueError, match=f"the law of views .* gave {gave}, expected"):
        source.draw(torch.arange(16), torch.Generator().manual_seed(0))


def test_the_rank_of_one_point_is_none_whatever_its_rounding():
    point = torch.full((40, 3), 0.1) * torch.tensor([1.0, 3e4, 7e6])
    spread = point.double() + 1e-9 * torch.randn(40, 3, generator=torch.Generator().manual_seed(0))
    assert effective_rank(spread) == 0


def test_images_must_be_bytes():
    with pytest.raises(
        ValueError, match=r"images of Tensor torch.float32 .* expected a tensor, uint8 .*SampleV"
    ):
        ImageViews(IMAGES.float(), VIEWS)
    with pytest.raises(ValueError, match="not from a Tensor: give it ImageViews"):
        fit(make(), IMAGES, steps=1)


def test_auto_picks_something_that_is_there():
    assert pick_device("auto").type in {"cpu", "cuda", "mps"}
    torch.zeros(1, device=pick_device())


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")
def test_training_on_cuda_in_bfloat16_follows_the_cpu():
    cpu = train(make())
    cuda = train(make(), device="cuda")
    torch.testing.assert_close(cpu.loss.iloc[-1], cuda.loss.iloc[-1], rtol=0.1, atol=1.0)


def test_progress_shows_the_step_and_the_loss(capsys):
    train(make(), progress=True)
    shown = capsys.readouterr().err
    assert "SimVE" in shown and "30/30" in shown and "loss=" in shown


def hang_in_a_step(path, tell):
    # Who is started in the background by a shell has inherited to ignore it, and hands that on.
    signal.signal(signal.SIGINT, signal.default_int_handler)

    def hang(step, method, history):
        tell.send(step - 1)
        time.sleep(60)

    train(make(), checkpoint=path, callbacks=[hang])


def test_a_second_ctrl_c_does_not_wait(tmp_path):
    with started(hang_in_a_step, tmp_path / "a.pt") as (process, told):
        wait_for_step(told, 0)
        os.kill(process.pid, signal.SIGINT)
        process.join(0.5)
        assert process.is_alive()
        os.kill(process.pid, signal.SIGINT)
        process.join(20)
        assert process.exitcode == 1


# --- sources that are no images ---------------------------------------------------------------


class Counts:
    """A source of one's own, without a base class: Poisson counts around each sample's rate."""

    members, labels = 2, None

    def __init__(self, rates):
        self.rates = rates

    def __len__(self):
        return len(self.rates)

    def to(self, device):
        return Counts(self.rates.to(device))

    def draw(self, index, generator):
        rates = self.rates[index][:, None].expand(-1, 2, -1)
        return Batch(torch.poisson(rates, generator), {"rates": rates})


class Mean(nn.Module):
    """Learns the mean of what it sees."""

    uses = ()

    def __init__(self, dim):
        super().__init__()
        self.mean = nn.Parameter(torch.zeros(dim))

    def loss(self, views, generator, **extras):
        return (views - self.mean).square().mean(), {}

    def after_step(self, step, steps):
        pass


def test_a_source_of_ones_own_needs_no_base_class_and_resumes_only_if_it_says_what_it_is(tmp_path):
    source, method = Counts(torch.tensor([[1.0, 5.0]]).repeat(20, 1)), Mean(2)
    settings = {"batch_size": 10, "device": "cpu", "progress": False, "lr": 0.1}
    fit(method, source, steps=200, **settings)
    torch.testing.assert_close(method.mean.data, torch.tensor([1.0, 5.0]), rtol=0, atol=0.4)
    with pytest.raises(ValueError, match=r"a Counts can't say what it is, .* fingerprint"):
        fit(Mean(2), source, steps=2, checkpoint=tmp_path / "a.pt", **settings)
    assert not list(tmp_path.iterdir())
    Counts.fingerprint = lambda self: {"rates": self.rates.tolist()}
    first, again = (
        fit(Mean(2), source, steps=4, checkpoint=tmp_path / "a.pt", **settings) for _ in range(2)
    )
    assert first.equals(again)
    with pytest.raises(ValueError, match="belongs to another run: rates was"):
        fit(Mean(2), Counts(source.rates + 1), steps=4, checkpoint=tmp_path / "a.pt", **settings)
    del Counts.fingerprint


def test_factors_may_be_looked_up_on_a_grid():
    grid = torch.arange(12.0).view(3, 4)  # the picture of factors (i, j) is one number

    def redrawn(factors, members, generator):
        j = torch.randint(4, (len(factors), members), generator=generator)
        i = factors[:, :1].expand(-1, members)
        return grid[i, j][..., None], {"j": j[..., None].float()}

    factors = torch.cartesian_prod(torch.arange(3), torch.arange(4))
    listener = Listener("parameters", "index")
    fit(
        listener, SampleViews(factors, redrawn), steps=3, batch_size=6, device="cpu", progress=False
    )
    for views, extras in listener.heard:
        own = factors[extras["index"], 0]
        assert torch.equal(views[..., 0], 4.0 * own[:, None] + extras["parameters"]["j"][..., 0])


def test_what_a_loss_wants_and_a_batch_lacks_is_named():
    with pytest.raises(ValueError, match="Listener learns from spikes, and these batches have no"):
        train(Listener("spikes"))


# --- a checkpoint knows its training ------------------------------------------------------------


@dataclass(frozen=True)
class Holds:
    """A law that can say what it is only if what it holds can."""

    held: object

    def __call__(self, images, members, generator):
        return VIEWS(images, members, generator)


def plain(images, members, generator):
    return VIEWS(images, members, generator)


class Silent:
    def __call__(self, images, members, generator):
        return VIEWS(images, members, generator)


@pytest.mark.parametrize(
    "law",
    [plain, lambda x, j, g: VIEWS(x, j, g), Silent(), partial(plain), Silent().__call__,
     Holds(plain), Holds(Silent()), Holds(torch.arange(5000))],
)  # fmt: skip
def test_views_that_cannot_say_what_they_are_train_but_leave_no_checkpoint(law, tmp_path):
    assert len(train(make(), law=law, steps=2)) == 2
    with pytest.raises(ValueError, match=r"the law of views .* can't say what it is.*__repr__"):
        train(make(), law=law, steps=2, checkpoint=tmp_path / "a.pt")
    assert not list(tmp_path.iterdir())


def test_a_law_that_says_what_it_is_resumes(tmp_path):
    for _ in range(2):
        assert len(train(make(), law=Holds("a word"), steps=2, checkpoint=tmp_path / "a.pt")) == 2
    with pytest.raises(ValueError, match=r"views was Holds\(held='a word'\), now Holds\(held=2\)"):
        train(make(), law=Holds(2), steps=2, checkpoint=tmp_path / "a.pt")


class Module(nn.Module):
    """A law that is a network: its settings are attributes, which torch's repr leaves out."""

    def __init__(self, hflip=0.5, weight=1.0):
        super().__init__()
        self.hflip, self.inner = hflip, nn.Linear(1, 1)
        nn.init.constant_(self.inner.weight, weight)
        nn.init.zeros_(self.inner.bias)

    def forward(self, images, members, generator):
        return Views(hflip=self.hflip)(images, members, generator)


def test_a_law_that_is_a_module_says_all_it_holds(tmp_path):
    for _ in range(2):
        assert len(train(make(), law=Module(), steps=2, checkpoint=tmp_path / "a.pt")) == 2
    with pytest.raises(ValueError, match=r"'hflip': 0.5,.*now .*'hflip': 0.2,"):
        train(make(), law=Module(0.2), steps=2, checkpoint=tmp_path / "a.pt")
    with pytest.raises(ValueError, match="another run: views was"):
        train(make(), law=Module(weight=2.0), steps=2, checkpoint=tmp_path / "a.pt")
    with pytest.raises(ValueError, match="can't say what it is"):
        train(make(), law=Module(Silent()), steps=2, checkpoint=tmp_path / "b.pt")


class HoldsModule(nn.Module):
    def __init__(self, held, hidden=0.0):
        super().__init__()
        self.held, self._hidden = held, hidden

    def forward(self, images, members, generator):
        return VIEWS(images, members, generator)


class Says(Silent):
    """A law with a `repr` of its own, which rounds as torch and numpy do."""

    def __init__(self, held):
        self.held = held

    def __repr__(self):
        return f"Says({self.held!r})"


@pytest.mark.parametrize("law", [Holds, HoldsModule, Says])
@pytest.mark.parametrize(
    "wrapped",
    [torch.tensor, lambda x: {"a": (torch.tensor(x),)}, lambda x: Holds(torch.tensor(x)),
     lambda x: np.array([1 + x / 1e9])],
    ids=["tensor", "in containers", "in a law", "array"],
)  # fmt: skip
def test_a_law_is_known_to_the_last_digit_of_the_tensors_in_it(law, wrapped, tmp_path):
    one, other = (law(wrapped(x)) for x in (0.12341, 0.12344))
    assert repr(one) == repr(other)
    settings = {"steps": 2, "checkpoint": tmp_path / "a.pt"}
    train(make(), law=one, **settings)
    train(make(), law=law(wrapped(0.12341)), **settings)
    with pytest.raises(ValueError, match="another run: views was"):
        train(make(), law=other, **settings)


@pytest.mark.parametrize(
    "law",
    [lambda x: Holds(Module(x)), lambda x: Holds(Module(weight=x)), lambda x: HoldsModule(0, x),
     lambda x: Holds(torch.tensor(x)).__call__, lambda x: Says(torch.tensor(x)).__call__,
     lambda x: Holds(partial(Holds(torch.tensor(x)).__call__))],
    ids=["setting", "weights", "underscored", "method", "of no dataclass", "partial"],
)  # fmt: skip
def test_a_law_is_known_by_all_that_it_is_made_of(law, tmp_path):
    settings = {"steps": 2, "checkpoint": tmp_path / "a.pt"}
    for _ in range(2):
        train(make(), law=law(0.12341), **settings)
    with pytest.raises(ValueError, match="another run: views was"):
        train(make(), law=law(0.12344), **settings)


@dataclass
class Settings:
    b: object


class Own(nn.Module):
    """A learner without mdlib's parent, whose settings are attributes that no `repr` tells."""

    uses = ()

    def __init__(self, held):
        super().__init__()
        self.held, self.inner = 0, nn.Module()
        self.inner.held = held
        self.w = nn.Parameter(torch.ones(64))

    def loss(self, views, generator):
        self.held += 1  # a state of its own, as a schedule has
        return (views.flatten(2) @ self.w).square().mean(), {}

    def after_step(self, step, steps):
        pass


@pytest.mark.parametrize(
    ("held", "other"),
    [(1.0, 10.0), (1, True), (None, 0), ("a", "b"), ((1, (2.0, "a")), (1, (2.5, "a"))),
     ({"kl": 1.0}, {"kl": 4.0}), (torch.tensor(0.12341), torch.tensor(0.12344)),
     ([np.arange(5000)], [np.arange(5000) + (np.arange(5000) == 2500)]),
     (Settings(0.0), Settings(5.0)), (Settings(Settings("a")), Settings(Settings("b"))),
     (Settings(torch.tensor(0.12341)), Settings(torch.tensor(0.12344))),
     (SimpleNamespace(b=0.0), SimpleNamespace(b=5.0)), (Namespace(b=0.0), Namespace(b=5.0)),
     (partial(plain, b=0.0), partial(plain, b=5.0)), (torch.tanh, torch.relu)],
)  # fmt: skip
def test_a_checkpoint_knows_a_learners_own_settings(held, other, tmp_path):
    path, whole = tmp_path / "a.pt", Own(held)
    expected = train(whole, steps=6)

    def stop(step, method, history):
        if step == 4:
            raise RuntimeError("stopped")

    with pytest.raises(RuntimeError, match="stopped"):
        train(Own(held), steps=6, checkpoint=path, checkpoint_every=3, callbacks=[stop])
    with pytest.raises(ValueError, match=r"another run: method\.inner\.held was .*, now"):
        train(Own(other), steps=6, checkpoint=path)
    resumed = Own(held)
    assert train(resumed, steps=6, checkpoint=path).equals(expected)
    assert same_weights(resumed, whole)
    assert train(resumed, steps=6, checkpoint=path).equals(expected)  # the one that the file is of


TYPED = """
class Typed(Own):
    def loss(self, views, generator):
        return super().loss(views, generator)
"""


def typed(text, name):
    """The class as a notebook has it: its lines are kept under a name that is no file's."""
    linecache.cache[name] = (len(text), None, text.splitlines(keepends=True), name)
    space = {"Own": Own, "__name__": "__main__"}
    exec(compile(text, name, "exec"), space)
    return space["Typed"](1)


def test_a_checkpoint_knows_a_learners_own_code(tmp_path):
    settings = {"steps": 2, "checkpoint": tmp_path / "a.pt"}
    for kernel in (1, 2):
        train(typed(TYPED, f"kernel {kernel}"), **settings)
    edited = typed(TYPED.replace("super()", "2 * super()"), "kernel 2, edited")
    with pytest.raises(ValueError, match=r"another run: method's code was \w+, now \w+\."):
        train(edited, **settings)


def test_a_learner_whose_text_nobody_kept_resumes(tmp_path):
    for name in ("a", "b"):
        method = typed(TYPED, name)
        linecache.cache.pop(name)
        assert len(train(method, steps=2, checkpoint=tmp_path / "a.pt")) == 2


def test_a_checkpoint_in_a_run_of_a_sweep_leaves_the_code_to_its_sources(tmp_path, monkeypatch):
    monkeypatch.setenv("MDLIB_RUN_SOURCES", "abc")
    for text in (TYPED, TYPED.replace("super()", "2 * super()")):
        train(typed(text, text), steps=2, checkpoint=tmp_path / "a.pt")


def test_a_method_made_without_create_is_known_by_its_options(tmp_path):
    settings = {"steps": 2, "checkpoint": tmp_path / "a.pt"}
    made = {"image_shape": SHAPE, "latent_dim": 3}
    with seeded(0):
        first = methods.find("beta_vae")(**made, beta=1.0)
    train(first, **settings)
    with seeded(0):
        other = methods.find("beta_vae")(**made, beta=4.0)
    with pytest.raises(ValueError, match=r"method\.term_weights was {'kl': 1.0}, now {'kl': 4"):
        train(other, **settings)


@pytest.mark.slow
@pytest.mark.parametrize(
    "images",
    [IMAGES.flip(0), IMAGES.flip(-1), IMAGES[torch.randperm(50)], IMAGES[:49], IMAGES.mT,
     255 - IMAGES,
     IMAGES.view(-1)[torch.randperm(IMAGES.numel())].view_as(IMAGES)],
)  # fmt: skip
def test_a_checkpoint_of_other_images_is_refused(images, tmp_path):
    path = tmp_path / "a.pt"
    train(make(), checkpoint=path, steps=3)
    with pytest.raises(
        ValueError, match=r"belongs to another run: data was [0-9a-f]{16}, now [0-9a-f]"
    ):
        train(make(), images.contiguous(), checkpoint=path, steps=3)
    train(make(), IMAGES.clone(), checkpoint=path, steps=3)


def test_a_checkpoint_of_another_beginning_is_refused(tmp_path):
    path = tmp_path / "a.pt"
    method = make()
    train(method, checkpoint=path, steps=3)
    other = methods.create("simve", image_shape=SHAPE, latent_dim=3, seed=7)
    with pytest.raises(
        ValueError, match=r"initial seed was 0, now 7; initial weights was \w+, now"
    ):
        train(other, checkpoint=path, steps=3)
    touched = make()
    with torch.no_grad():
        next(touched.parameters()).add_(1e-3)
    with pytest.raises(ValueError, match="another run: initial weights was"):
        train(touched, checkpoint=path, steps=3)
    assert len(train(method, checkpoint=path, steps=3)) == 3  # the one that the file is of


@pytest.mark.parametrize(
    ("what", "message"),
    [("torch.__version__", "torch was 2.*, now 1.0"), ("mdlib.training.checkpoint.code_digest",
      "mdlib's code was .*, now other")],
)  # fmt: skip
def test_a_checkpoint_of_other_versions_is_refused(what, message, tmp_path, monkeypatch):
    train(make(), checkpoint=tmp_path / "a.pt", steps=3)
    monkeypatch.setattr(what, (lambda: "other") if "code" in what else "1.0")
    with pytest.raises(ValueError, match=message):
        train(make(), checkpoint=tmp_path / "a.pt", steps=3)


def test_a_checkpoint_of_another_device_or_precision_is_refused(tmp_path, monkeypatch):
    import mdlib.training.loop as loop

    train(make(), checkpoint=tmp_path / "a.pt", steps=3)
    plainly = loop._identity

    def as_on_cuda(method, source, device):
        return plainly(method, source, torch.device("cuda"))

    monkeypatch.setattr(loop, "_identity", as_on_cuda)
    with pytest.raises(ValueError, match="device was cpu, now cuda; precision was float32, now bf"):
        train(make(), checkpoint=tmp_path / "a.pt", steps=3)


def test_one_flipped_byte_anywhere_is_found(tmp_path):
    path = tmp_path / "a.pt"
    train(make(), checkpoint=path, steps=3)
    whole = path.read_bytes()
    for at in (0, len(whole) // 3, len(whole) // 2, len(whole) - 100, len(whole) - 1):
        damaged = bytearray(whole)
        damaged[at] ^= 1
        path.write_bytes(damaged)
        with pytest.raises(ValueError, match=r"a\.pt is no checkpoint .* or is damaged: delete it"):
            train(make(), checkpoint=path, steps=3)


# --- what a method can't learn from -------------------------------------------------------------

NEEDS = {"instance": {"instances": 50}, "wmse": {"head_dim": 4}}


@pytest.mark.slow
@pytest.mark.parametrize("name", methods.names())
@pytest.mark.parametrize(("batch_size", "members"), [(1, 2), (1, 1), (8, 1)])
def test_a_batch_too_small_is_refused_in_the_methods_words_or_moves_its_weights(
    name, batch_size, members
):
    method = methods.create(
        name, image_shape=SHAPE, latent_dim=3, arch="mlp-small", **NEEDS.get(name, {})
    )
    before = [p.clone() for p in method.parameters()]
    least = method.least_images, method.least_views
    labels = torch.arange(50) % 10

    def moved():
        return [not torch.equal(a, b) for a, b in zip(before, method.parameters(), strict=True)]

    settings = {"members": members, "labels": labels, "batch_size": batch_size, "steps": 3}
    if batch_size < least[0] or members < least[1]:
        first = batch_size < least[0]
        short = f"batch_size={batch_size}" if first else f"members={members}"
        needs = least[0] if first else least[1]
        words = f"{short}: {type(method).__name__} compares .*: it needs {needs} or more"
        with pytest.raises(ValueError, match=words):
            train(method, **settings)
        views = torch.rand(batch_size, members, *SHAPE)
        extras = {"parameters": {}, "index": torch.zeros(batch_size, dtype=torch.int64)}
        with pytest.raises(ValueError, match=words):
            method.loss(views, **{name: extras[name] for name in method.uses})
        assert not any(moved())
    else:
        assert train(method, **settings).notna().all(axis=None)
        assert any(moved())


def test_a_batch_that_cannot_be_whitened_is_refused_before_the_first_step():
    method = methods.create("wmse", image_shape=SHAPE, latent_dim=3, head_dim=16)
    with pytest.raises(ValueError, match=r"batch_size=16: WMSE .* it needs 17 or more, not 16"):
        train(method)
    train(
        methods.create("wmse", image_shape=SHAPE, latent_dim=3, head_dim=16, shrinkage=0.1), steps=2
    )


# --- the optimiser ------------------------------------------------------------------------------


def test_weight_decay_reaches_the_optimiser():
    class Idle(nn.Module):
        def __init__(self):
            super().__init__()
            self.w = nn.Parameter(torch.ones(3))

        def loss(self, views, generator):
            return 0 * self.w.sum(), {}

        def after_step(self, step, steps):
            pass

    method = Idle()
    train(method, steps=2, lr=0.1, weight_decay=0.5, schedule="constant")
    torch.testing.assert_close(method.w.data, torch.full((3,), (1 - 0.1 * 0.5) ** 2))


@pytest.mark.parametrize("every", [0, 1.5, "2", None])
def test_a_callback_comes_every_so_many_whole_steps(every):
    with pytest.raises(ValueError, match=f"every={every!r}: expected a whole number"):
        Watch(len, every)


def test_a_group_of_weights_may_have_a_rate_and_a_schedule_of_its_own():
    class Two(nn.Module):
        def __init__(self):
            super().__init__()
            self.a, self.b = nn.Parameter(torch.zeros(())), nn.Parameter(torch.zeros(()))
            self.path = [(0.0, 0.0)]

        def parameter_groups(self):
            return [{"params": [self.a]}, {"params": [self.b], "rate": 0.5, "schedule": "constant"}]

        def loss(self, views, generator):
            return self.a + self.b, {}

        def after_step(self, step, steps):
            self.path.append((self.a.item(), self.b.item()))

    method = Two()
    train(method, steps=4, lr=0.1)
    moves = [(a - c, b - d) for (a, b), (c, d) in zip(method.path, method.path[1:], strict=False)]
    assert [b for _, b in moves] == pytest.approx([0.5] * 4, rel=1e-3)
    assert [a for a, _ in moves] == pytest.approx([0.1, 0.0854, 0.05, 0.0146], rel=1e-2)


# --- callbacks ----------------------------------------------------------------------------------


def test_a_callback_is_called_after_each_step_with_what_is_known_by_then():
    calls = []

    def look(step, method, history):
        calls.append((step, len(history.table()), history.table().loss.iloc[-1]))

    watched, alone = make(), make()
    every_third = Watch(lambda method: {"norm": method.encoder[1].weight.norm().item()}, every=3)
    losses = train(watched, steps=7, callbacks=[look, every_third])
    assert [(step, rows) for step, rows, _ in calls] == [(i, i) for i in range(1, 8)]
    assert [loss for *_, loss in calls] == losses.loss.tolist()
    assert every_third.table().step.tolist() == [3, 6]
    assert every_third.table().norm.nunique() == 2
    assert train(alone, steps=7).equals(losses) and same_weights(watched, alone)


@pytest.mark.slow
def test_probe_and_rank_during_training_are_those_of_the_codes_at_that_step():
    from mdlib import data
    from mdlib.evaluation import probes

    train_split, test_split = data.load("digits").sample(120), data.load("digits", "test")
    method = methods.create("vae", image_shape=train_split.image_shape, latent_dim=8)
    linear = Probe(probes.linear, train_split, test_split, every=2, seed=3)
    rank = Rank(test_split.images, every=4)
    train(method, train_split.images, steps=4, callbacks=[linear, rank])
    codes = method.encode(train_split.images), method.encode(test_split.images)
    score = probes.linear(codes[0], train_split.labels, codes[1], test_split.labels, seed=3).score
    assert linear.table().step.tolist() == [2, 4] and rank.table().step.tolist() == [4]
    assert linear.table().score.iloc[-1] == score
    assert 1 < rank.table().score.item() <= 8


def test_effective_rank_counts_the_directions_that_are_used():
    assert effective_rank(torch.eye(6) - 1 / 6) == pytest.approx(5)
    line = torch.arange(9.0)[:, None] * torch.tensor([1.0, -2.0, 0.5])
    assert effective_rank(line) == pytest.approx(1, abs=1e-6)
    assert effective_rank(torch.full((7, 3), 2.5)) == 0
    q, _ = torch.linalg.qr(torch.randn(40, 3, generator=torch.Generator().manual_seed(0)))
    q = torch.linalg.qr(q - q.mean(0))[0]
    shares = torch.tensor([0.5, 0.25, 0.25])
    expected = math.exp(-float((shares * shares.log()).sum()))
    assert effective_rank(q * shares + 4) == pytest.approx(expected, rel=1e-4)


@pytest.mark.parametrize(
    "options",
    [
        {"steps": 1.5}, {"steps": "2"}, {"batch_size": 8.0}, {"batch_size": None}, {"lr": "1e-3"},
        {"lr": math.inf}, {"weight_decay": "a"}, {"seed": -1}, {"seed": None}, {"clip": "a"},
        {"checkpoint": "."}, {"callbacks": [1]},
    ],
)  # fmt: skip
def test_a_setting_of_another_kind_is_named(options):
    ((name, _),) = options.items()
    method = methods.create("vae", image_shape=SHAPE, latent_dim=2, arch="mlp-small")
    before = [p.clone() for p in method.parameters()]
    given = {"steps": 2, "batch_size": 8, "device": "cpu", "progress": False} | options
    with pytest.raises(ValueError, match=rf"^{name}"):
        fit(method, ImageViews(IMAGES, VIEWS), **given)
    assert all(map(torch.equal, before, method.parameters()))


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda method: method.half(), "is torch.float16, expected float32"),
        (lambda method: method.double(), "is torch.float64, expected float32"),
        (lambda method: method.requires_grad_(False), "nothing to train"),
        (lambda method: nn.init.constant_(next(method.parameters()), math.nan) * 0, "not finite"),
    ],
)
def test_a_method_from_which_no_step_can_be_taken_is_refused(change, message):
    method = methods.create("vae", image_shape=SHAPE, latent_dim=2, arch="mlp-small")
    with torch.no_grad():
        change(method)
    with pytest.raises(ValueError, match=message):
        fit(method, ImageViews(IMAGES, VIEWS), steps=1, batch_size=8, device="cpu", progress=False)


def test_images_of_another_shape_are_refused():
    method = methods.create("vae", image_shape=(3, 9, 9), latent_dim=2, arch="mlp-small")
    with pytest.raises(ValueError, match=r"VAE was made for floats \[3, 9, 9\]"):
        fit(method, ImageViews(IMAGES, VIEWS), steps=1, batch_size=8, device="cpu", progress=False)


def grey(n=48):
    """Images of one grey level each, their own name; and the law that shows them as they are."""
    images = torch.arange(n, dtype=torch.uint8).view(n, 1, 1, 1).expand(n, 1, 4, 4)

    def law(x, members, generator):
        drawn = torch.randperm(n, generator=generator)[: len(x)]
        return x[:, None].float(), {"drawn": drawn[:, None, None]}

    return images, law


def test_the_seed_decides_the_order_and_the_views_each_and_apart():
    heard = []
    for seed in (1, 1, 2):
        listener = Listener("index", "parameters")
        train(listener, *grey(), members=1, batch_size=48, steps=1, seed=seed)
        ((_, extras),) = listener.heard
        heard.append([extras["index"].tolist(), extras["parameters"]["drawn"].flatten().tolist()])
    first, again, other = heard
    assert first == again
    assert first[0] != other[0] and first[1] != other[1]
    assert first[0] != first[1]  # two streams


def test_a_method_in_evaluation_mode_is_trained_in_training_mode():
    method = make("byol").eval()
    before = method.projector[1].running_mean.clone()
    train(method, steps=1)
    assert method.training and not torch.equal(method.projector[1].running_mean, before)


def test_views_of_double_precision_are_taken_as_float32():
    def law(x, members, generator):
        return x[:, None].double() / 255, {}

    assert len(train(make("vae"), law=law, members=1, steps=2)) == 2


def test_a_buffer_that_is_not_finite_stops_a_training():
    class Running(Breaks):
        def __init__(self):
            super().__init__(at=99)
            self.register_buffer("mean", torch.zeros(1))

        def after_step(self, step, steps):
            self.mean /= 0

    with pytest.raises(TrainingDiverged, match="step 3: weight mean is not finite"):
        train(Running(), steps=3)


def test_labels_that_a_method_does_not_use_are_no_part_of_its_checkpoint(tmp_path):
    labels = torch.arange(50) % 10
    for given in (labels, labels.flip(0), None):
        assert len(train(make(), labels=given, checkpoint=tmp_path / "a.pt", steps=3)) == 3
