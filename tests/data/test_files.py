"""mdlib.data: real files — verified, read, refused, downloaded — and folders of one's own.

Tests with the argument `real_data` need the real files in $MDLIB_DATA or ../shared/data, and are
skipped without them. All others write small files in the same formats.
"""

import hashlib
import io
import os
import pickle
import shutil
import stat
import struct
import tarfile
import zipfile
from pathlib import Path

import numpy as np
import pytest
import torch
import torchvision
from PIL import Image

from mdlib import data
from mdlib.data import cifar, decode, files

REAL = Path(os.environ.get("MDLIB_DATA") or Path(__file__).parents[3] / "shared" / "data")


@pytest.fixture
def real_data():
    if not REAL.is_dir():
        pytest.skip(f"no real data in {REAL}: set MDLIB_DATA")
    return REAL


def md5(path):
    return hashlib.md5(Path(path).read_bytes()).hexdigest()


def flip_a_byte(path, at=-1):
    content = bytearray(path.read_bytes())
    content[at] ^= 1
    path.write_bytes(content)


def raises_like_load(error, match, name, root, **keywords):
    """`load` and `check` must raise the same error; its message."""
    with pytest.raises(error, match=match) as from_load:
        data.load(name, root=root, **keywords)
    with pytest.raises(error) as from_check:
        data.check(name, root)
    assert type(from_check.value) is type(from_load.value)
    assert str(from_check.value) == str(from_load.value)
    return str(from_load.value)


# MNIST and Fashion-MNIST


@pytest.mark.parametrize(
    ("name", "folder", "title"),
    [("mnist", "MNIST", "MNIST"), ("fashion-mnist", "FashionMNIST", "Fashion-MNIST")],
)
def test_real_idx_files(real_data, name, folder, title):
    if not (real_data / folder).is_dir():
        pytest.skip(f"no {folder} in {real_data}")
    data.check(name, real_data)
    assert data.status(name, real_data) == data.Status(name, title, "ok", str(real_data / folder))
    parts = {split: data.load(name, split, real_data) for split in ("train", "test", "all")}
    for split, prefix, n in (("train", "train", 60_000), ("test", "t10k", 10_000)):
        raw = real_data / folder / "raw"
        pixels = np.frombuffer((raw / f"{prefix}-images-idx3-ubyte").read_bytes()[16:], np.uint8)
        labels = np.frombuffer((raw / f"{prefix}-labels-idx1-ubyte").read_bytes()[8:], np.uint8)
        part = parts[split]
        assert (part.title, part.image_shape, len(part)) == (title, (1, 28, 28), n)
        assert np.array_equal(part.images.numpy(), pixels.reshape(n, 1, 28, 28))
        assert part.labels.dtype == torch.int64
        assert np.array_equal(part.labels.numpy(), labels)
    assert len(set(parts["train"].class_names)) == 10
    assert torch.equal(parts["all"].labels[60_000:], parts["test"].labels)
    assert torch.equal(parts["all"].images[:60_000], parts["train"].images)


def test_real_file_truncated_or_damaged_is_refused(real_data, tmp_path):
    source = real_data / "FashionMNIST" / "raw"
    if not source.is_dir():
        pytest.skip(f"no FashionMNIST in {real_data}")
    raw = tmp_path / "FashionMNIST" / "raw"
    raw.mkdir(parents=True)
    for path in source.glob("*-ubyte"):
        # Only test images are changed; the others need no copy.
        os.symlink(path, raw / path.name)
    images = raw / "t10k-images-idx3-ubyte"
    content = images.read_bytes()
    images.unlink()

    images.write_bytes(content[:-1])
    # Even the train split is refused: never half of a data set.
    message = raises_like_load(data.CorruptData, "truncated", "fashion-mnist", tmp_path)
    assert f"{images} has 7840015 bytes, expected 7840016" in message

    images.write_bytes(content)
    flip_a_byte(images)
    data.check("fashion-mnist", tmp_path)  # quick: sizes only
    known = "dcea6ed44d4eb63cfb4675817913ec690401a37740cbf03d464d72c8ec9331a8"
    with pytest.raises(data.CorruptData, match=f"t10k-images.* sha256 .*expected {known}"):
        data.load("fashion-mnist", root=tmp_path)
    status = data.status("fashion-mnist", tmp_path)
    assert status.state == "corrupt"
    assert str(images) in status.hint and known in status.hint


def write_idx(root, n=6):
    """A tiny MNIST in its own format; its files as `Idx.files` lists them."""
    raw = root / "MNIST" / "raw"
    raw.mkdir(parents=True, exist_ok=True)
    listed = []
    for part in ("train", "t10k"):
        images = struct.pack(">4i", 0x803, n, 28, 28) + bytes(range(n)) * 784
        labels = struct.pack(">2i", 0x801, n) + bytes(range(n))
        for kind, content in (("images-idx3", images), ("labels-idx1", labels)):
            path = raw / f"{part}-{kind}-ubyte"
            path.write_bytes(content)
            digest = hashlib.sha256(content).hexdigest()
            listed.append(files.File(f"MNIST/raw/{path.name}", digest, len(content)))
    return listed


@pytest.fixture
def tiny_mnist(monkeypatch, tmp_path):
    monkeypatch.setattr(files.MNIST, "files", write_idx(tmp_path))
    return tmp_path


def test_idx_is_read(tiny_mnist, monkeypatch):
    part = data.load("mnist", "test", tiny_mnist)
    assert part.labels.tolist() == list(range(6))
    assert part.image_shape == (1, 28, 28)
    facts = data.describe("mnist", tiny_mnist)
    assert facts.train == facts.test == (1,) * 6 + (0,) * 4
    monkeypatch.setenv("MDLIB_DATA", str(tiny_mnist))
    assert len(data.load("mnist", "all", size=32)) == 12


@pytest.mark.parametrize("file", range(4))
def test_idx_wants_every_file_whole(tiny_mnist, file):
    path = tiny_mnist / files.MNIST.files[file].path
    size = path.stat().st_size
    flip_a_byte(path)
    with pytest.raises(data.CorruptData, match=f"{path.name} has the sha256 checksum"):
        data.load("mnist", root=tiny_mnist)
    path.write_bytes(path.read_bytes()[:-3])
    message = raises_like_load(data.CorruptData, "truncated", "mnist", tiny_mnist)
    assert f"{path} has {size - 3} bytes, expected {size}" in message
    path.unlink()
    message = raises_like_load(FileNotFoundError, "is missing", "mnist", tiny_mnist)
    assert f"{path} is missing ({size} bytes)" in message
    path.mkdir()
    raises_like_load(FileNotFoundError, "is a folder, expected a file", "mnist", tiny_mnist)


def test_idx_passes_over_what_an_old_torchvision_left(tiny_mnist):
    """torchvision's MNIST prefers processed/*.pt, which nobody verified, to the raw files."""
    processed = tiny_mnist / "MNIST" / "processed"
    processed.mkdir()
    for name in ("training.pt", "test.pt"):
        torch.save((torch.zeros(2, 28, 28), torch.zeros(2)), processed / name)
    assert len(data.load("mnist", root=tiny_mnist)) == 6


# downloads


def test_download_fetches_what_is_missing_and_sets_damage_aside(monkeypatch, tmp_path):
    listed = write_idx(tmp_path / "server")
    monkeypatch.setattr(files.MNIST, "files", listed)
    calls = []

    def fake(root, download):
        calls.append((Path(root), download))
        for file in listed:
            target = Path(root) / file.path
            target.parent.mkdir(parents=True, exist_ok=True)
            if not target.exists():  # as torchvision does: what is there is taken for good
                shutil.copy(tmp_path / "server" / file.path, target)

    monkeypatch.setattr(torchvision.datasets, "MNIST", fake)
    root = tmp_path / "root"
    assert len(data.load("mnist", root=root, download=True)) == 6
    assert calls == [(root, True)]
    data.load("mnist", root=root, download=True)
    assert len(calls) == 1  # nothing to do, nothing done

    path = root / listed[2].path
    flip_a_byte(path)
    data.load("mnist", root=root, download=True)
    assert len(calls) == 2
    assert path.with_name(path.name + ".corrupt").exists()


def test_download_that_brings_the_wrong_file_is_refused(monkeypatch, tmp_path):
    monkeypatch.setattr(files.MNIST, "files", write_idx(tmp_path / "right"))
    monkeypatch.setattr(
        torchvision.datasets, "MNIST", lambda root, download: write_idx(Path(root), n=7)
    )
    with pytest.raises(data.CorruptData, match=r"bytes, expected"):
        data.load("mnist", root=tmp_path / "root", download=True)


@pytest.mark.parametrize(
    ("name", "by_hand"),
    [
        ("mnist", "MNIST/raw"),
        ("fashion-mnist", "FashionMNIST/raw"),
        ("cifar10", "cifar10-jpeg.tar.gz"),
        ("celeba", "img_align_celeba.zip"),
    ],
)
def test_failed_download_says_what_to_do(monkeypatch, tmp_path, name, by_hand):
    # Through torchvision's own code, down to a network that refuses.
    for module in ("mnist", "cifar"):
        fetcher = f"torchvision.datasets.{module}.download_and_extract_archive"
        monkeypatch.setattr(fetcher, lambda *_, **__: (_ for _ in ()).throw(RuntimeError("cut")))
    fetcher = "torchvision.datasets.celeba.download_file_from_google_drive"
    monkeypatch.setattr(fetcher, lambda *_, **__: (_ for _ in ()).throw(RuntimeError("cut")))
    with pytest.raises(OSError, match=r"download into .* failed: RuntimeError: .*cut") as error:
        data.load(name, root=tmp_path, download=True)
    message = str(error.value)
    assert message.startswith(f"{name}: ")
    assert "\n" not in message  # torchvision tells of its mirrors on several lines
    assert str(tmp_path) in message.split("By hand: ")[1]
    assert by_hand in message.split("By hand: ")[1]


# CIFAR-10

CLASSES = ("airplane", "automobile", "bird", "cat", "deer", "dog", "frog", "horse", "ship", "truck")


@pytest.mark.slow
def test_real_cifar_tar(real_data, cache):
    if not (real_data / cifar.JPEG_TAR.path).is_file() or (real_data / cifar.BATCHES).exists():
        pytest.skip(f"no {cifar.JPEG_TAR.path} in {real_data}")
    status = data.status("cifar10", real_data)
    assert (status.state, status.hint) == ("ok", str(real_data / "cifar10-jpeg.tar.gz"))
    train = data.load("cifar10", "train", real_data)
    assert train.title == "CIFAR-10 (JPEG)"
    assert (len(train), train.image_shape) == (50_000, (3, 32, 32))
    assert train.labels.tolist() == [label for label in range(10) for _ in range(5000)]
    assert train.class_names == CLASSES
    # The published mean of CIFAR-10's red, green and blue; JPEG does not move it.
    means = train.images.float().mean((0, 2, 3)) / 255
    assert np.allclose(means, (0.4914, 0.4822, 0.4465), atol=0.001)

    with tarfile.open(real_data / cifar.JPEG_TAR.path) as tar:  # an independent look at two rows
        for _ in range(1503):
            member = tar.next()
            if member.name in (
                "cifar10/test/airplane/0007.jpg",
                "cifar10/test/automobile/0500.jpg",
            ):
                expected = np.asarray(Image.open(tar.extractfile(member)))
                row = 7 if "airplane" in member.name else 1500
                found = data.load("cifar10", "test", real_data).images[row]  # from the cache
                assert np.array_equal(found.permute(1, 2, 0), expected)
    assert [path.name for path in cache.iterdir()] == [f"cifar10-{cifar.JPEG_TAR.digest}.npz"]


def test_real_cifar_tar_truncated_or_damaged_is_refused(real_data, tmp_path):
    if not (real_data / cifar.JPEG_TAR.path).is_file():
        pytest.skip(f"no {cifar.JPEG_TAR.path} in {real_data}")
    tar = tmp_path / cifar.JPEG_TAR.path
    content = (real_data / cifar.JPEG_TAR.path).read_bytes()
    tar.write_bytes(content[:1000])
    message = raises_like_load(data.CorruptData, "truncated", "cifar10", tmp_path)
    assert f"{tar} has 1000 bytes, expected 19214352" in message
    tar.write_bytes(content)
    flip_a_byte(tar, at=1_000_000)
    with pytest.raises(data.CorruptData, match=f"sha256 .*expected {cifar.JPEG_TAR.digest}"):
        data.load("cifar10", root=tmp_path)


def encoded(value, size=(32, 32), kind="PNG"):
    buffer = io.BytesIO()
    Image.new("RGB", size, (value, 0, 255 - value)).save(buffer, kind)
    return buffer.getvalue()


def write_tar(path, extra=(), leave_out=(), replace=None, mode="w:gz"):
    """Two train images and one test image a class, last first; `extra` are (TarInfo, bytes)."""
    members = {}
    for label, name in reversed(list(enumerate(CLASSES))):
        for part, value in (("train/{}/b", 2), ("test/{}/x", 3), ("train/{}/a", 1)):
            members[f"cifar10/{part.format(name)}.png"] = encoded(10 * label + value)
    members |= replace or {}
    with tarfile.open(path, mode) as tar:
        for name, content in members.items():
            if name not in leave_out:
                tar.addfile(regular(name, content), io.BytesIO(content))
        for info, content in extra:
            tar.addfile(info, io.BytesIO(content))


def regular(name, content):
    info = tarfile.TarInfo(name)
    info.size = len(content)
    return info


def link(name, target, kind):
    info = tarfile.TarInfo(name)
    info.type, info.linkname = kind, target
    return info


@pytest.fixture
def small_cifar(monkeypatch):
    monkeypatch.setattr(cifar, "PER_CLASS", {"train": 2, "test": 1})


def everything_in(folder):
    return sorted(str(path.relative_to(folder)) for path in folder.rglob("*"))


@pytest.mark.parametrize(("file", "mode"), [("cifar10.tar.gz", "w:gz"), ("cifar10.tar", "w")])
def test_own_tar_is_read_in_sorted_order(small_cifar, tmp_path, file, mode):
    write_tar(tmp_path / file, mode=mode)
    data.check("cifar10", tmp_path)
    both = data.load("cifar10", "all", tmp_path)
    assert both.title == f"CIFAR-10 ({file})"
    assert both.labels.tolist() == [label for label in range(10) for _ in "ab"] + list(range(10))
    train_red = [10 * label + value for label in range(10) for value in (1, 2)]
    assert both.images[:, 0, 0, 0].tolist() == train_red + [10 * k + 3 for k in range(10)]
    assert torch.equal(both.images[:, 2], 255 - both.images[:, 0])
    test = data.load("cifar10", "test", tmp_path)
    facts = data.describe("cifar10", tmp_path)
    assert (facts.train, facts.test, facts.image_shape) == ((2,) * 10, (1,) * 10, (3, 32, 32))
    assert torch.equal(test.images, both.images[20:])


def test_tar_members_of_other_kinds_are_passed_over_and_nothing_is_unpacked(small_cifar, tmp_path):
    evil = encoded(255)
    outside = tmp_path / "outside.png"
    extra = [
        (regular("../evil.png", evil), evil),
        (regular(str(outside), evil), evil),
        (regular("cifar10/train/../../evil.png", evil), evil),
        (regular("cifar10/train/zebra/a.png", evil), evil),
        (regular("cifar10/train/cat/README.txt", b"hello"), b"hello"),
        (link("cifar10/train/cat/c.png", "/etc/passwd", tarfile.SYMTYPE), b""),
        (link("cifar10/train/cat/d.png", "cifar10/train/dog/a.png", tarfile.LNKTYPE), b""),
        (link("cifar10/train/cat/e.png", "", tarfile.FIFOTYPE), b""),
    ]
    write_tar(tmp_path / "cifar10.tar", extra, mode="w")
    train = data.load("cifar10", root=tmp_path)
    assert len(train) == 20
    assert train.images[:, 0].max() == 92
    assert [name for name in everything_in(tmp_path) if not name.startswith("cache")] == [
        "cifar10.tar"
    ]


@pytest.mark.parametrize(
    ("keywords", "match"),
    [
        ({"leave_out": ["cifar10/test/dog/x.png"]}, "has 0 images in cifar10/test/dog, expected 1"),
        (
            {"extra": [(regular("cifar10/train/cat/c.png", encoded(9)), encoded(9))]},
            "has 3 images in cifar10/train/cat, expected 2",
        ),
        (
            {"extra": [(regular("cifar10/train/cat/a.png", encoded(9)), encoded(9))]},
            "cifar10/train/cat/a.png is there twice",
        ),
        (
            {"extra": [(regular("cifar10/train/cat/c.png", bytes(2**21)), bytes(2**21))]},
            "cifar10/train/cat/c.png is too large",
        ),
        (
            {"replace": {"cifar10/train/cat/a.png": encoded(9, size=(32, 31))}},
            r"cifar10/train/cat/a in .* has the size \(32, 31\), expected \(32, 32\)",
        ),
        (
            {"replace": {"cifar10/train/cat/a.png": b"no image"}},
            "cannot read the image cifar10/train/cat/a in",
        ),
        (
            {"replace": {"cifar10/train/cat/a.png": encoded(9, kind="GIF")}},
            "cannot read the image cifar10/train/cat/a in",
        ),
    ],
    ids=["missing", "surplus", "twice", "large", "size", "noise", "kind"],
)
def test_own_tar_with_a_wrong_member_is_refused(small_cifar, tmp_path, cache, keywords, match):
    write_tar(tmp_path / "cifar10.tar.gz", **keywords)
    with pytest.raises(data.CorruptData, match=match):
        data.load("cifar10", root=tmp_path)
    assert not cache.exists() or not list(cache.iterdir())  # nothing half-made is kept


@pytest.mark.parametrize("file", ["cifar10.tar.gz", "cifar10.tar"])
def test_own_tar_cut_short_is_refused(small_cifar, tmp_path, file):
    tar = tmp_path / file
    write_tar(tar, mode="w:gz" if file.endswith("gz") else "w")
    tar.write_bytes(tar.read_bytes()[: tar.stat().st_size // 2])
    with pytest.raises(data.CorruptData, match=file):
        data.load("cifar10", root=tmp_path)


def test_decoded_tar_is_kept(small_cifar, tmp_path, cache, monkeypatch):
    write_tar(tmp_path / "cifar10.tar")
    first = data.load("cifar10", root=tmp_path)
    decoded = []
    real = cifar._members
    monkeypatch.setattr(cifar, "_members", lambda tar: decoded.append(tar) or real(tar))
    assert torch.equal(data.load("cifar10", root=tmp_path).images, first.images)
    assert not decoded
    (kept,) = cache.iterdir()
    content = kept.read_bytes()
    for damage in (content[: len(content) // 2], b""):
        kept.write_bytes(damage)
        assert torch.equal(data.load("cifar10", root=tmp_path).images, first.images)
    flip_a_byte(kept, at=20_000)  # a pixel
    assert torch.equal(data.load("cifar10", root=tmp_path).images, first.images)
    assert len(decoded) == 3
    assert zipfile.ZipFile(kept).testzip() is None  # mended
    write_tar(tmp_path / "cifar10.tar", replace={"cifar10/train/cat/a.png": encoded(77)})
    assert not torch.equal(data.load("cifar10", root=tmp_path).images, first.images)


def test_decoded_tar_is_good_even_if_it_cannot_be_kept(small_cifar, tmp_path, cache):
    cache.write_text("a file, where a folder should be")
    write_tar(tmp_path / "cifar10.tar")
    with pytest.warns(UserWarning, match="cannot keep the decoded images"):
        assert len(data.load("cifar10", root=tmp_path)) == 20


class Touch:
    """A pickle that writes a file when it is opened: proof of whether it was."""

    def __init__(self, path):
        self.path = path

    def __reduce__(self):
        return Path.touch, (self.path,)


class OldType:
    """A type as NumPy pickled it under Python 2, of which NumPy 2.4.0 to 2.4.4 warns."""

    def __reduce__(self):
        return np.dtype, ("u1", 0, 0)


@pytest.fixture
def batches(monkeypatch, tmp_path):
    folder = tmp_path / "cifar-10-batches-py"
    folder.mkdir()
    names = [f"data_batch_{k}" for k in range(1, 6)] + ["test_batch"]
    for number, name in enumerate(names):
        pixels = np.full((2, 3072), number, dtype=np.uint8)
        pixels[:, 1024:2048] = 100  # green
        content = {"data": pixels, "labels": [number, 9], "type": OldType()}
        (folder / name).write_bytes(pickle.dumps(content))
    meta = {"label_names": list(CLASSES)}
    (folder / "batches.meta").write_bytes(pickle.dumps(meta))
    listed = [[name, md5(folder / name)] for name in names]
    monkeypatch.setattr(torchvision.datasets.CIFAR10, "train_list", listed[:5])
    monkeypatch.setattr(torchvision.datasets.CIFAR10, "test_list", listed[5:])
    meta = {
        "filename": "batches.meta",
        "key": "label_names",
        "md5": md5(folder / "batches.meta"),
    }
    monkeypatch.setattr(torchvision.datasets.CIFAR10, "meta", meta)
    return folder


def test_cifar_batches(batches):
    assert data.status("cifar10", batches.parent).hint == str(batches)
    both = data.load("cifar10", "all", batches.parent)
    assert both.title == "CIFAR-10"
    assert both.image_shape == (3, 32, 32)
    assert both.labels.tolist() == [0, 9, 1, 9, 2, 9, 3, 9, 4, 9, 5, 9]
    assert both.images[:, 0, 5, 5].tolist() == [0, 0, 1, 1, 2, 2, 3, 3, 4, 4, 5, 5]
    assert (both.images[:, 1] == 100).all()
    assert data.load("cifar10", "test", batches.parent).labels.tolist() == [5, 9]


@pytest.mark.parametrize("file", ["data_batch_3", "test_batch", "batches.meta"])
def test_cifar_batches_are_verified_before_any_is_unpickled(batches, tmp_path, file):
    proof = tmp_path / "opened"
    (batches / file).write_bytes(pickle.dumps(Touch(proof)))
    raises_like_load(data.CorruptData, f"{file} has the md5 checksum", "cifar10", batches.parent)
    assert not proof.exists()
    pickle.loads((batches / file).read_bytes())
    assert proof.exists()  # the trap works
    (batches / file).unlink()
    raises_like_load(FileNotFoundError, f"{file} is missing", "cifar10", batches.parent)


# CelebA

ATTRIBUTES = [f"Attribute_{k}" for k in range(20)] + ["Male"] + [f"Other_{k}" for k in range(19)]


@pytest.fixture
def celeba(monkeypatch, tmp_path):
    """Twelve images in exactly torchvision's layout: 6 train, 2 valid, 4 test."""
    root = tmp_path / "root"
    folder = root / "celeba"
    (folder / "img_align_celeba").mkdir(parents=True)
    names = [f"{k:06d}.jpg" for k in range(1, 13)]
    rng = np.random.RandomState(0)
    attributes = rng.choice([-1, 1], size=(12, 40))
    attributes[:, 20] = [1, -1] * 6  # Male
    rows = [
        f"{n} " + " ".join(f"{v:2d}" for v in a) for n, a in zip(names, attributes, strict=True)
    ]
    texts = {
        "list_attr_celeba.txt": ["12", " ".join(ATTRIBUTES) + " ", *rows],
        "identity_CelebA.txt": [f"{name} {k}" for k, name in enumerate(names)],
        "list_bbox_celeba.txt": ["12", "image_id x_1 y_1 width height"]
        + [f"{name}    95  71 226 313" for name in names],
        "list_landmarks_align_celeba.txt": ["12", " ".join(f"p{k}" for k in range(10)) + " "]
        + [f"{name} " + " ".join(["69"] * 10) for name in names],
        "list_eval_partition.txt": [
            f"{name} {0 if k < 6 else 1 if k < 8 else 2}" for k, name in enumerate(names)
        ],
    }
    for name, lines in texts.items():
        (folder / name).write_text("\n".join(lines) + "\n")
    for k, name in enumerate(names):
        pixels = np.full((218, 178, 3), 20 * k, dtype=np.uint8)
        pixels[:35] = pixels[-35:] = 255  # all that a central crop of 148 leaves out
        pixels[:, :15] = pixels[:, -15:] = 255
        Image.fromarray(pixels).save(folder / "img_align_celeba" / name, quality=100)
    listed = [("id", md5(folder / name), name) for name in texts]
    listed.append(("id", "0" * 32, "img_align_celeba.zip"))
    monkeypatch.setattr(torchvision.datasets.CelebA, "file_list", listed)
    return root, attributes


def test_celeba(celeba, cache):
    root, attributes = celeba
    data.check("celeba", root)
    assert data.status("celeba", root).state == "ok"
    parts = {s: data.load("celeba", s, root) for s in ("train", "valid", "test", "all")}
    assert [len(part) for part in parts.values()] == [6, 2, 4, 12]
    facts = data.describe("celeba", root)
    assert (facts.train, facts.test, facts.image_shape) == ((3, 3), (2, 2), (3, 64, 64))
    everyone = parts["all"]
    assert everyone.image_shape == (3, 64, 64)
    assert everyone.factor_names == tuple(ATTRIBUTES)
    assert everyone.factor_sizes == (2,) * 40
    assert everyone.factors.dtype == everyone.labels.dtype == torch.int64
    assert np.array_equal(everyone.factors, attributes > 0)
    assert everyone.labels.tolist() == [1, 0] * 6
    assert everyone.class_names == ("not Male", "Male")
    # The white frame lies outside the crop; away from its JPEG blocks the grey is uniform.
    inner = everyone.images[:, :, 4:-4, 4:-4].float()
    expected = 20.0 * torch.arange(12)
    assert (inner - expected[:, None, None, None]).abs().max() <= 1
    assert everyone.images.float().mean() < expected.mean() + 3
    assert torch.equal(parts["test"].images, everyone.images[8:])
    assert data.load("celeba", "test", root, size=32).image_shape == (3, 32, 32)
    assert len(list(cache.iterdir())) == 5


def test_celeba_is_mapped_from_the_cache_and_cannot_change_it(celeba, cache, monkeypatch):
    root, _ = celeba
    data.load("celeba", "valid", root).images.zero_()
    monkeypatch.setattr(decode, "threaded", None)  # must not be needed again
    assert data.load("celeba", "valid", root).images.max() > 100
    (kept,) = cache.iterdir()
    np.save(kept, np.zeros(3))
    with pytest.raises(data.CorruptData, match=kept.name):
        data.load("celeba", "valid", root)


def test_celeba_missing_or_damaged_files_are_refused(celeba, cache):
    root, _ = celeba
    image = root / "celeba" / "img_align_celeba" / "000003.jpg"
    content = image.read_bytes()

    image.write_bytes(content[:700])
    with pytest.raises(data.CorruptData, match=f"cannot read the image {image}"):
        data.load("celeba", root=root)
    assert list(cache.iterdir()) == []
    image.write_bytes(b"")
    raises_like_load(data.CorruptData, f"{image} is empty", "celeba", root)
    image.unlink()
    raises_like_load(FileNotFoundError, f"{image} is missing", "celeba", root)
    Image.new("RGB", (100, 100)).save(image)
    with pytest.raises(data.CorruptData, match=r"\(100, 100\), smaller than 148"):
        data.load("celeba", root=root)
    image.write_bytes(content)

    text = root / "celeba" / "identity_CelebA.txt"
    right = md5(text)
    flip_a_byte(text, at=3)
    message = raises_like_load(data.CorruptData, "identity_CelebA.txt has the md5", "celeba", root)
    assert right in message
    text.unlink()
    raises_like_load(FileNotFoundError, "identity_CelebA.txt is missing", "celeba", root)


# images:PATH


def write_image(path, value, size=(10, 8), mode="RGB", **keywords):
    path.parent.mkdir(parents=True, exist_ok=True)
    colour = value if mode == "L" else (value, 0, 0)
    Image.new(mode, size, colour).save(path, **keywords)


@pytest.fixture
def photos(tmp_path):
    """Ten cats and five dogs; the red channel numbers them in sorted order."""
    folder = tmp_path / "photos"
    for k in range(15):
        write_image(folder / ("cat" if k < 10 else "dog") / f"{k:02d}.png", k)
    (folder / "cat" / "notes.txt").write_text("no image")
    (folder / ".ipynb_checkpoints").mkdir()
    return folder


def test_own_images(photos):
    name = f"images:{photos}"
    data.check(name)
    assert data.status(name) == data.Status(name, "photos", "ok", str(photos))
    everything = data.load(name, "all")
    assert (everything.name, everything.title) == (name, "photos")
    assert everything.image_shape == (3, 8, 10)
    assert everything.images[:, 0, 0, 0].tolist() == list(range(15))
    assert everything.class_names == ("cat", "dog")
    assert everything.labels.tolist() == [0] * 10 + [1] * 5
    train, test = (data.load(name, split) for split in ("train", "test"))
    assert train.labels.bincount().tolist() == [8, 4]
    assert test.labels.bincount().tolist() == [2, 1]
    reds = [part.images[:, 0, 0, 0].tolist() for part in (train, test)]
    assert sorted(reds[0] + reds[1]) == list(range(15))


def test_own_images_already_split(tmp_path):
    for part, label, value in (("train", "a", 1), ("train", "b", 2), ("test", "b", 3)):
        write_image(tmp_path / part / label / "x.png", value)
    name = f"images:{tmp_path}"
    assert data.load(name, "train").labels.tolist() == [0, 1]
    test = data.load(name, "test")
    assert (test.labels.tolist(), test.class_names) == ([1], ("a", "b"))
    assert data.load(name, "all").images[:, 0, 0, 0].tolist() == [1, 2, 3]
    shutil.rmtree(tmp_path / "test")
    raises_like_load(FileNotFoundError, "test is not: give both, or neither", name, None)


def test_own_images_of_different_sizes(photos):
    name = f"images:{photos}"
    odd = photos / "dog" / "99.jpg"
    gradient = np.tile(np.arange(80, dtype=np.uint8)[None, :, None], (40, 1, 3))
    Image.fromarray(gradient).save(odd, quality=100)
    message = raises_like_load(
        ValueError, r"cat/00\.png is 10×8, .*dog/99\.jpg is 80×40", name, None
    )
    assert "pass size=64, say (on the command line -p size 64)" in message
    data.check(name, size=20)
    square = data.load(name, "all", size=20)
    assert square.image_shape == (3, 20, 20)
    # The shorter side, 40, becomes 20; of the longer one the middle is kept, columns 20 to 59.
    columns = square.images[-1, 0].float().mean(0)
    assert (columns - (20.5 + 2 * torch.arange(20))).abs().max() < 1.5


def test_own_images_are_grey_only_if_all_are(photos):
    for k, path in enumerate(sorted(photos.rglob("*.png"))):
        write_image(path, k, mode="L")
    name = f"images:{photos}"
    grey = data.load(name, "all")
    assert grey.image_shape == (1, 8, 10)
    assert grey.images[:, 0, 3, 3].tolist() == list(range(15))
    write_image(photos / "dog" / "14.png", 14)
    mixed = data.load(name, "all")
    assert mixed.image_shape == (3, 8, 10)
    assert mixed.images[3].flatten().tolist() == [3] * 240


def test_own_images_obey_the_camera(tmp_path):
    exif = Image.Exif()
    exif[0x0112] = 6  # to be turned by a quarter
    write_image(tmp_path / "a" / "turned.jpg", 9, size=(8, 10), exif=exif)
    write_image(tmp_path / "a" / "upright.jpg", 9)
    assert data.load(f"images:{tmp_path}", "all").image_shape == (3, 8, 10)


@pytest.mark.parametrize("ending", ["jpg", "png", "webp", "tif"])
@pytest.mark.parametrize("turn", range(1, 9))
def test_own_images_are_described_as_they_are_loaded(turn, ending, tmp_path):
    exif = Image.Exif()
    exif[0x0112] = turn
    for number in range(2):
        write_image(tmp_path / "a" / f"{number}.{ending}", 9, size=(8, 20), exif=exif)
    shape = (3, 20, 8) if turn < 5 else (3, 8, 20)
    assert data.load(f"images:{tmp_path}", "all").image_shape == shape
    assert data.describe(f"images:{tmp_path}").image_shape == shape


def test_a_mark_behind_the_pixels_is_named(tmp_path):
    # In a PNG file the mark may follow the pixels, where no look at the header finds it.
    exif = Image.Exif()
    exif[0x0112] = 6
    write_image(tmp_path / "a" / "late.png", 9, size=(8, 10), exif=exif)
    content = (tmp_path / "a" / "late.png").read_bytes()
    mark = content.index(b"eXIf") - 4
    length = 12 + int.from_bytes(content[mark : mark + 4])
    chunk, rest = content[mark : mark + length], content[:mark] + content[mark + length :]
    (tmp_path / "a" / "late.png").write_bytes(rest[:-12] + chunk + rest[-12:])
    with pytest.raises(ValueError, match=r"late\.png is turned by a mark behind its pixels: pass"):
        data.load(f"images:{tmp_path}", "all")
    assert data.load(f"images:{tmp_path}", "all", size=8).image_shape == (3, 8, 8)


@pytest.mark.parametrize("damage", ["noise", "cut", "16 bit"])
def test_own_image_that_cannot_be_read(photos, damage):
    bad = photos / "cat" / "05.png"
    if damage == "noise":
        bad.write_bytes(b"no image at all")
    elif damage == "cut":
        noise = np.random.RandomState(0).randint(0, 256, (8, 10, 3), dtype=np.uint8)
        Image.fromarray(noise).save(bad)
        bad.write_bytes(bad.read_bytes()[:150])
    else:
        Image.fromarray(np.full((8, 10), 40_000, dtype=np.uint16)).save(bad)
    match = "more than 8 bits" if damage == "16 bit" else "cannot read the image"
    with pytest.raises(data.CorruptData, match=match) as error:
        data.load(f"images:{photos}", "all")
    assert str(bad) in str(error.value)


def test_own_folder_that_holds_no_images(tmp_path):
    name = f"images:{tmp_path / 'none'}"
    raises_like_load(FileNotFoundError, "none does not exist: arrange", name, None)
    raises_like_load(FileNotFoundError, "none does not exist", name, None, download=True)
    (tmp_path / "none").mkdir()
    raises_like_load(FileNotFoundError, "no class folder in .*none: arrange", name, None)
    (tmp_path / "none" / "cat").mkdir()
    raises_like_load(FileNotFoundError, "class folder .*cat holds no image", name, None)
    assert data.status(name).state == "missing"
    (tmp_path / "file").write_text("")
    raises_like_load(FileNotFoundError, "is not a folder", f"images:{tmp_path / 'file'}", None)
    raises_like_load(ValueError, "needs a path", "images:", None)
    write_image(tmp_path / "none" / "cat" / "one.png", 1)
    assert len(data.load(name)) == 1
    with pytest.raises(ValueError, match="too few images for a test split"):
        data.load(name, "test")


def test_own_folder_from_which_no_probe_can_learn_is_refused_beforehand(tmp_path):
    """The first four pass `load`: a chapter trains for an hour, and then its probe refuses."""

    def folder(kind, **classes):
        for where, n in classes.items():
            for k in range(n):
                write_image(tmp_path / kind / where.replace("_", "/") / f"{k}.png", k)
        return f"images:{tmp_path / kind}"

    for name, match in [
        (folder("one class", a=5), r"are all of \['a'\], expected 2 classes"),
        (folder("only test", train_a=2, train_b=2, test_a=1, test_c=1), r"of \['c'\], of which"),
        (folder("one each", train_a=2, train_b=1, test_a=1), r"train has one image of \['b'\]"),
        (folder("two each", a=2, b=3), r"train has one image of \['a'\]"),
        (folder("no test", a=1, b=1), "too few images for a test split"),
    ]:
        data.load(name)
        data.describe(name)
        with pytest.raises(ValueError, match=match):
            data.check(name)
        data.check(name, split="train")
    data.check(folder("good", a=3, b=3))


def test_facts_of_an_own_folder_come_from_headers(photos, monkeypatch):
    monkeypatch.setattr(Image.Image, "load", None)  # must not be needed
    name = f"images:{photos}"
    facts = data.describe(name)
    assert facts == data.Facts(name, "photos", (3, 8, 10), ("cat", "dog"), (8, 4), (2, 1))
    assert (facts.n_train, facts.n_test) == (12, 3)
    assert data.describe(name, size=5).image_shape == (3, 5, 5)


def test_a_sample_of_an_own_folder_opens_no_other_image(photos, monkeypatch):
    name = f"images:{photos}"
    expected = data.load(name).sample(3)
    opened, real = set(), Image.open
    monkeypatch.setattr(Image, "open", lambda p, *a, **k: opened.add(str(p)) or real(p, *a, **k))
    found = data.load(name, max_images=3)
    assert torch.equal(found.images, expected.images)
    assert torch.equal(found.labels, expected.labels)
    assert len(opened) == 6  # three of train; and of test, which must have the same shape
    assert len(data.load("digits", max_images=7)) == 7
    with pytest.raises(ValueError, match="max_images must be an integer of at least 1"):
        data.load(name, max_images=0)


def test_train_is_in_colour_if_test_is(tmp_path):
    for part, mode in (("train", "L"), ("test", "RGB")):
        for label in "ab":
            write_image(tmp_path / part / label / "x.png", 7, mode=mode)
    for keywords in ({}, {"max_images": 1}):
        assert data.load(f"images:{tmp_path}", "train", **keywords).image_shape == (3, 8, 10)


def test_more_images_than_memory_holds_are_refused_before_decoding(photos, monkeypatch):
    import psutil

    name = f"images:{photos}"
    free = 15 * 3 * 8 * 10 + 2 * 3 * 8 * 10 * decode.THREADS  # of all, and to decode
    usual = psutil.virtual_memory()
    monkeypatch.setattr(psutil, "virtual_memory", lambda: usual._replace(available=free))
    assert len(data.load(name, "all")) == 15
    monkeypatch.setattr(psutil, "virtual_memory", lambda: usual._replace(available=free - 1))
    monkeypatch.setattr(decode, "threaded", lambda f, items: map(f, items))
    monkeypatch.setattr(Image.Image, "load", None)  # must not be needed
    with pytest.raises(ValueError, match=r"15 images of 3×8×10 need .* GB .*size 64.*max_images"):
        data.load(name, "all")
    with pytest.raises(ValueError, match=r"digits: 1797 images of 1×99999×99999 need .* free"):
        data.load("digits", size=99_999)
    with pytest.raises(ValueError, match=r"sprites: .* need .* free"):
        data.load("sprites", size=99_999)


@pytest.mark.parametrize("kind", ["pipe", "socket", "folder", "link", "loop"])
def test_what_is_no_file_is_refused_with_its_name(photos, kind):
    bad = photos / "cat" / "a.png"
    if kind == "pipe":
        os.mkfifo(bad)
    elif kind == "socket":
        os.mknod(bad, 0o600 | stat.S_IFSOCK)
    elif kind == "folder":
        bad.mkdir()
    else:
        bad.symlink_to(bad if kind == "loop" else photos / "nowhere")
    what = {"folder": "a folder", "link": "a link that leads nowhere"}
    what |= {"loop": what["link"]}
    match = rf"{bad} is {what.get(kind, 'a pipe, a socket or a device')}, expected an image"
    raises_like_load(data.CorruptData, match, f"images:{photos}", None)
    assert data.status(f"images:{photos}").state == "corrupt"


def test_a_class_or_a_folder_that_is_a_dead_link_is_refused_with_its_name(photos, tmp_path):
    (photos / "mouse").symlink_to(photos / "nowhere")
    raises_like_load(FileNotFoundError, "mouse is a link that leads no", f"images:{photos}", None)
    loop = tmp_path / "loop"
    loop.symlink_to(loop)
    for bad in (loop, "~nobody-of-this-name/photos", "a\0b"):
        with pytest.raises((ValueError, FileNotFoundError), match=r"images:.*"):
            data.check(f"images:{bad}")


def test_what_may_not_be_read_is_refused_with_its_name(photos, monkeypatch):
    def refuse(path, *_, **__):
        raise PermissionError(13, "Permission denied", str(path))

    name = f"images:{photos}"
    with monkeypatch.context() as patch:
        patch.setattr(Image, "open", refuse)
        raises_like_load(data.CorruptData, rf"^{name}: .*cat/00.png.*denied", name, None)
    monkeypatch.setattr(Path, "iterdir", refuse)
    raises_like_load(data.CorruptData, rf"^{name}: cannot read {photos}: Perm", name, None)


def test_titles_of_own_folders_are_plain_in_markdown_and_html(tmp_path):
    for folder, title in [
        ("a<img src=x onerror=alert(1)>", "a img src x onerror alert(1)"),
        ("my_own_photos", "my own photos"),
        ("*b* `c` [d](e) $f$ &lt; \\", "b c d (e) f lt"),
        ("Grüße 2024, v1.2-日本", "Grüße 2024, v1.2-日本"),
        ("___", "images"),
    ]:
        write_image(tmp_path / folder / "cat" / "0.png", 0)
        assert data.load(f"images:{tmp_path / folder}").title == title
