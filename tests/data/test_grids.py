"""mdlib.data: real sets with known factors, on small files written in exactly their formats."""

import copy
import gzip
import hashlib
import io
import os
import pickle
import struct
import tarfile
from dataclasses import replace
from functools import partial
from pathlib import Path

import numpy as np
import pytest
import torch
from scipy.io import savemat

from mdlib import data
from mdlib.data import base, decode, files, grid, grids

REAL = Path(os.environ.get("MDLIB_DATA") or Path(__file__).parents[3] / "shared" / "data")
GRIDS = ["dsprites", "shapes3d", "cars3d", "mpi3d-toy", "coil20"]


def md5(path):
    return hashlib.md5(path.read_bytes()).hexdigest()


def pixels(*shape):
    return np.random.RandomState(0).randint(0, 256, shape, dtype=np.uint8)


# Writers: a small file in the format of the published one, and its images, uint8 [N, C, H, W].


class Touch:
    """A pickle that writes a file when it is opened: proof of whether it was."""

    def __init__(self, path):
        self.path = path

    def __reduce__(self):
        return Path.touch, (self.path,)


def write_dsprites(path, sizes=(3, 2, 2, 4, 5), **changes):
    images = pixels(np.prod(sizes), 16, 16) % 2
    classes = np.stack(np.unravel_index(np.arange(len(images)), (1, *sizes)), -1)
    metadata = np.array(Touch(path.parent / "opened"), dtype=object)  # pickled, as published
    arrays = {
        "metadata": metadata,
        "imgs": images,
        "latents_classes": classes,
        "latents_values": classes / 7,
    }
    np.savez_compressed(path, **arrays | changes)
    return images[:, None] * 255


def write_shapes3d(path, sizes=(2, 3, 2, 2, 4, 3), **changes):
    h5py = pytest.importorskip("h5py")
    images = pixels(np.prod(sizes), 16, 16, 3)
    with h5py.File(path, "w") as file:
        given = changes.get("images", images)
        # A block of pixels reaches over many images, and the last blocks are not full.
        file.create_dataset("images", data=given, chunks=(50, 4, 4, 1), compression="gzip")
        file.create_dataset("labels", data=np.zeros((len(images), 6)))
    return images.transpose(0, 3, 1, 2)


def write_cars3d(path, sizes=(2, 3, 4), meshes=None, leave_out=()):
    elevations, azimuths, cars = sizes
    images = pixels(elevations, azimuths, cars, 3, 16, 16)
    members = {"data/shapes48.mat": b"other", "data/cars/list.txt": b"car_0_mesh\n"}
    for car in (2, 0, 3, 1):
        mesh = images[:, :, car].transpose(3, 4, 2, 1, 0)  # rows, columns, RGB, azimuth, elevation
        buffer = io.BytesIO()
        mask = np.zeros((16, 16, azimuths, elevations), np.uint8)
        savemat(buffer, {"mask": mask, "im": mesh if meshes is None else meshes})
        members[f"data/cars/car_{car}_mesh.mat"] = buffer.getvalue()
    with tarfile.open(path, "w:gz") as tar:
        folder = tarfile.TarInfo("data/cars")
        folder.type = tarfile.DIRTYPE
        tar.addfile(folder)
        link = tarfile.TarInfo("data/cars/other.mat")
        link.type, link.linkname = tarfile.SYMTYPE, "/etc/passwd"
        tar.addfile(link)
        for name, content in members.items():
            if name not in leave_out:
                info = tarfile.TarInfo(name)
                info.size = len(content)
                tar.addfile(info, io.BytesIO(content))
    return images.reshape(-1, 3, 16, 16)


def write_mpi3d(path, sizes=(2, 6, 2, 1, 3, 4, 5), save=np.savez, **changes):
    images = pixels(np.prod(sizes), 16, 16, 3)
    save(path, **{"images": images} | changes)
    return images.transpose(0, 3, 1, 2)


def write_coil20(path, sizes=(20, 5), **changes):
    images = pixels(np.prod(sizes), 16, 16)
    known = np.repeat(np.arange(1, sizes[0] + 1, dtype=np.uint8), sizes[1])
    rows = images.transpose(0, 2, 1).reshape(-1, 256)  # down the columns
    savemat(path, {"X": rows, "Y": known[:, None]} | changes)
    return images[:, None]


WRITERS = {
    "dsprites": write_dsprites,
    "shapes3d": write_shapes3d,
    "cars3d": write_cars3d,
    "mpi3d-toy": write_mpi3d,
    "coil20": write_coil20,
}


@pytest.fixture
def write(monkeypatch, tmp_path):
    """`write(name)` puts a small file in place of the published one: root, images."""

    def write(name, **changes):
        source = copy.copy(data.SOURCES[name])
        path = tmp_path / "root" / source.file.path
        path.parent.mkdir(parents=True, exist_ok=True)
        images = WRITERS[name](path, **changes)
        sizes = WRITERS[name].__defaults__[0]
        source.grid = grid.Grid(name, source.grid.factor_names, sizes)
        source.image_shape = images.shape[1:]
        source.file = replace(source.file, digest=md5(path), size=None)
        source.pieces = partial(source.pieces.func, source)
        monkeypatch.setitem(data.SOURCES, name, source)
        return tmp_path / "root", torch.from_numpy(images)

    return write


# What is published


@pytest.mark.parametrize(
    ("name", "path", "n", "sizes", "image_shape"),
    [
        (
            "dsprites",
            "dsprites_ndarray_co1sh3sc6or40x32y32_64x64.npz",
            737_280,
            (3, 6, 40, 32, 32),
            (1, 64, 64),
        ),
        ("shapes3d", "3dshapes.h5", 480_000, (10, 10, 10, 8, 4, 15), (3, 64, 64)),
        ("cars3d", "nips2015-analogy-data.tar.gz", 17_568, (4, 24, 183), (3, 128, 128)),
        ("mpi3d-toy", "mpi3d_toy.npz", 1_036_800, (6, 6, 2, 3, 3, 40, 40), (3, 64, 64)),
        ("mpi3d-realistic", "mpi3d_realistic.npz", 1_036_800, None, (3, 64, 64)),
        ("mpi3d-real", "mpi3d_real.npz", 1_036_800, None, (3, 64, 64)),
    ],
)
def test_grids_are_the_published_ones(name, path, n, sizes, image_shape):
    source = data.SOURCES[name]
    assert Path(source.file.path).name == path
    assert source.file.url.endswith(f"/{path}")
    assert path in source.how
    assert len(source.grid) == n
    assert source.grid.factor_sizes == (sizes or data.SOURCES["mpi3d-toy"].grid.factor_sizes)
    assert source.image_shape == image_shape
    label = source.grid.factor_names.index(source.label)
    assert len(source.class_names) == source.grid.factor_sizes[label]


# All grids in a file


@pytest.mark.parametrize("name", GRIDS)
def test_grid_is_read_in_order_and_split_for_good(write, name, cache):
    root, images = write(name)
    source = data.SOURCES[name]
    data.check(name, root)
    status = data.status(name, root)
    assert (status.state, status.hint) == ("ok", str(root / source.file.path))
    everything = data.load(name, "all", root)
    assert torch.equal(everything.images, images)
    sizes = source.grid.factor_sizes
    assert everything.factor_sizes == sizes
    expected = np.stack(np.unravel_index(np.arange(np.prod(sizes)), sizes), -1)
    assert np.array_equal(everything.factors, expected)
    column = everything.factor_names.index(source.label)
    assert torch.equal(everything.labels, everything.factors[:, column])
    assert (everything.name, everything.title) == (name, source.title)
    facts = data.describe(name, root)
    mixed = np.random.RandomState(base.SPLIT_SEED).permutation(len(images))
    parts = np.split(mixed, [round(0.8 * len(images))])
    for split, rows in zip(("train", "test"), parts, strict=True):
        part = data.load(name, split, root)
        rows = torch.from_numpy(np.sort(rows))
        assert torch.equal(source.grid.index_of(part.factors), rows)
        assert torch.equal(part.images, images[rows])
        assert getattr(facts, split) == tuple(part.labels.bincount().tolist())
        small = data.load(name, split, root, size=8)
        assert torch.equal(small.images, decode.resized(name, images, 8)[rows])
        assert cache / f"{name}-{split}-8-{source.file.digest}.npy" in cache.iterdir()


@pytest.mark.parametrize("name", GRIDS)
def test_grid_is_decoded_once_and_mapped(write, name, cache, monkeypatch):
    root, _ = write(name)
    source = data.SOURCES[name]
    first = data.load(name, "test", root)
    expected = first.images.clone()
    first.images.zero_()  # it may be written to, without effect on the file
    (kept,) = cache.iterdir()
    assert kept.name == f"{name}-test-16-{source.file.digest}.npy"
    monkeypatch.setattr(source, "pieces", None)  # must not be needed again
    assert torch.equal(data.load(name, "test", root).images, expected)
    np.save(kept, np.zeros(3))
    with pytest.raises(data.CorruptData, match=kept.name):
        data.load(name, "test", root)


@pytest.mark.parametrize("name", GRIDS)
def test_grid_file_missing_or_damaged_is_refused(write, name):
    root, _ = write(name)
    file = data.SOURCES[name].file
    path = root / file.path
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)
    for function in (data.check, data.load):
        with pytest.raises(data.CorruptData, match=f"{path} has the md5 .*expected {file.digest}"):
            function(name, root=root)
    path.unlink()
    for function in (data.check, data.load):
        with pytest.raises(FileNotFoundError, match=f"^{name}: {path} is missing"):
            function(name, root=root)


@pytest.mark.parametrize("name", GRIDS)
def test_what_is_said_of_a_file_can_be_done(write, name):
    """Nobody is told to download what nobody publishes."""
    root, _ = write(name)
    file = data.SOURCES[name].file
    path = root / file.path
    path.unlink()
    path.mkdir()
    with pytest.raises(FileNotFoundError, match=f"^{name}: {path} is a folder, expected a file"):
        data.load(name, root=root)
    path.rmdir()
    path.write_bytes(b"")
    for error in (data.CorruptData, FileNotFoundError):
        with pytest.raises(error) as told:
            data.load(name, root=root)
        said = str(told.value)
        assert ("download=True" in said) == bool(file.url)
        assert "MDLIB_DATA" in said
        assert file.url or "put COIL20.mat (data/COIL20.mat of github.com" in said
        path.unlink(missing_ok=True)


def test_a_file_is_downloaded_and_damage_is_kept_beside(write, server, monkeypatch, capfd):
    root, images = write("dsprites")
    folder, address, asked = server
    source = data.SOURCES["dsprites"]
    path = root / source.file.path
    served = path.rename(folder / path.name)
    source.file = replace(source.file, url=f"{address}/{path.name}")
    monkeypatch.setattr(files, "RETRIES", 0)
    assert torch.equal(data.load("dsprites", "all", root, download=True).images, images)
    assert not path.with_name(f"{path.name}.corrupt").exists()
    path.write_bytes(b"damaged")
    assert torch.equal(data.load("dsprites", "all", root, download=True).images, images)
    assert path.with_name(f"{path.name}.corrupt").read_bytes() == b"damaged"
    assert len(asked) == 2
    served.write_bytes(b"another file")
    data.load("dsprites", "all", root, download=True)  # nothing to do, nothing done
    path.unlink()
    with pytest.raises(data.CorruptData, match="dsprites: the download into") as error:
        data.load("dsprites", "all", root, download=True)
    for part in (source.file.url, source.file.digest, "By hand: ", str(path.parent)):
        assert part in str(error.value)
    assert not path.exists()
    os.mkfifo(path)  # which to read would take for ever
    with pytest.raises(FileNotFoundError, match="is missing"):
        data.check("dsprites", root)
    served.unlink()
    with pytest.raises(OSError, match=r"404"):
        data.load("dsprites", "all", root, download=True)


def test_a_download_that_breaks_off_is_tried_again(write, server, monkeypatch, capfd):
    root, images = write("dsprites")
    folder, address, asked = server
    source = data.SOURCES["dsprites"]
    path = root / source.file.path
    whole = path.rename(folder / path.name).read_bytes()
    (folder / path.name).write_bytes(whole[:100])
    source.file = replace(source.file, url=f"{address}/{path.name}")
    monkeypatch.setattr("time.sleep", lambda _: (folder / path.name).write_bytes(whole))
    assert torch.equal(data.load("dsprites", "all", root, download=True).images, images)
    assert len(asked) == 2


@pytest.mark.parametrize("name", ["dsprites", "shapes3d", "cars3d", "mpi3d-real", "smallnorb"])
def test_failed_download_says_what_to_do(tmp_path, name, monkeypatch):
    monkeypatch.setattr(files, "RETRIES", 0)
    with pytest.raises(OSError, match=r"download into .* failed: \w+: .*no net") as error:
        data.load(name, root=tmp_path, download=True)
    message = str(error.value)
    assert message.startswith(f"{name}: ")
    assert f"{tmp_path}/{name.split('-')[0]}" in message.split("By hand: ")[1]
    assert not [path for path in tmp_path.rglob("*") if path.is_file()]  # nothing half-fetched


@pytest.mark.parametrize("name", GRIDS)
@pytest.mark.parametrize("what", ["shape", "type"])
def test_another_array_than_expected_is_refused(write, name, what, cache):
    if name == "cars3d":
        mesh = pixels(16, 16, 3, 3, 2)
        change = {"meshes": mesh[:-1] if what == "shape" else mesh.astype(np.int16)}
    else:
        shapes = {"dsprites": (240, 16, 16), "shapes3d": (288, 16, 16, 3)}
        array = pixels(*shapes.get(name, (1440, 16, 16, 3)))
        change = array[:-1] if what == "shape" else array.astype(np.int16)
        key = {"dsprites": "imgs", "coil20": "X"}.get(name, "images")
        change = {key: change}
    root, _ = write(name, **change)
    with pytest.raises(data.CorruptData, match=r"expected uint8 \("):
        data.load(name, root=root)
    assert not cache.exists() or not list(cache.iterdir())  # nothing half-made is kept


def test_a_full_disk_is_told_of_before_anything_is_written(write, cache, monkeypatch):
    root, _ = write("dsprites")
    usage = decode.shutil.disk_usage(root)
    monkeypatch.setattr(decode.shutil, "disk_usage", lambda path: usage._replace(free=1000))
    with pytest.raises(OSError, match=r"need 0\.0 GB in .*cache.*make room there"):
        data.load("dsprites", root=root)
    assert not list(cache.iterdir())


# Each for itself


def test_dsprites_opens_no_pickle(write):
    root, _ = write("dsprites")
    data.load("dsprites", "all", root)
    proof = root / "dsprites" / "opened"
    assert not proof.exists()
    pickle.loads(pickle.dumps(Touch(proof)))
    assert proof.exists()  # the trap works


def test_dsprites_in_another_order_is_refused(write):
    classes = np.stack(np.unravel_index(np.arange(240), (1, 3, 2, 2, 4, 5)), -1)
    root, _ = write("dsprites", latents_classes=classes[::-1])
    with pytest.raises(data.CorruptData, match="latents_classes is not the grid in order"):
        data.load("dsprites", root=root)


def test_coil20_with_other_labels_is_refused(write):
    root, _ = write("coil20", Y=np.arange(100, dtype=np.uint8)[:, None] // 5)
    with pytest.raises(data.CorruptData, match=r"Y in .* is not 5 times 1 to 20"):
        data.load("coil20", root=root)


def test_the_real_coil20():
    """Upright, and turning on: each picture is nearer to its neighbours, the last to the first."""
    if not (REAL / data.SOURCES["coil20"].file.path).is_file():
        pytest.skip(f"no COIL-20 in {REAL}: set MDLIB_DATA")
    everything = data.load("coil20", "all", REAL)
    turns = everything.images.float().view(20, 72, -1)
    near = (turns - turns.roll(1, 1)).square().mean((1, 2))
    far = (turns - turns.roll(36, 1)).square().mean((1, 2))
    assert (near < far).all()
    duck = everything.images[0, 0].float()  # it swims to the right: its head is up there
    assert duck[2:12, 8:20].mean() > 3 * duck[2:12, 24:].mean()


def test_mpi3d_is_mapped_in_place_where_it_is_stored(write, cache, monkeypatch):
    root, images = write("mpi3d-toy")
    monkeypatch.setattr(decode, "npz_pieces", None)  # must not be needed
    everything = data.load("mpi3d-toy", "all", root)
    assert torch.equal(everything.images, images)
    assert torch.equal(everything.subset([7, 3]).images, images[[7, 3]])
    assert data.load("mpi3d-toy", "all", root, size=16).image_shape == (3, 16, 16)
    everything.images.zero_()
    assert torch.equal(data.load("mpi3d-toy", "all", root).images, images)
    assert not cache.exists()


def test_mpi3d_is_decoded_where_it_is_compressed(write, cache):
    root, images = write("mpi3d-toy", save=np.savez_compressed)
    assert torch.equal(data.load("mpi3d-toy", "all", root).images, images)
    assert len(list(cache.iterdir())) == 1


def test_npz_is_mapped_behind_other_members(tmp_path):
    wanted = pixels(7, 5)
    np.savez(tmp_path / "x.npz", first=np.arange(1001), wanted=wanted, last=np.zeros(3))
    assert np.array_equal(decode.npz_mapped(tmp_path / "x.npz", "wanted", (7, 5)), wanted)
    read = list(decode.npz_pieces(tmp_path / "x.npz", "wanted", (7, 5), rows=3))
    assert [rows.tolist() for rows, _ in read] == [[0, 1, 2], [3, 4, 5], [6]]
    assert np.array_equal(np.concatenate([piece for _, piece in read]), wanted)
    np.savez(tmp_path / "x.npz", wanted=np.asfortranarray(wanted))
    with pytest.raises(data.CorruptData, match="by columns"):
        decode.npz_mapped(tmp_path / "x.npz", "wanted", (7, 5))


def test_shapes3d_without_h5py(tmp_path, monkeypatch):
    source = copy.copy(data.SOURCES["shapes3d"])
    path = tmp_path / source.file.path
    path.parent.mkdir()
    path.write_bytes(b"whole")
    source.file = replace(source.file, digest=md5(path), size=None, url="")
    monkeypatch.setitem(data.SOURCES, "shapes3d", source)
    monkeypatch.setattr(grids, "find_spec", lambda name: None)
    with pytest.raises(OSError, match=f"^shapes3d: {path} .*: pip install h5py$"):
        data.check("shapes3d", tmp_path)
    assert "pip install h5py" in data.status("shapes3d", tmp_path).hint
    path.unlink()
    with pytest.raises(FileNotFoundError, match="is missing"):
        data.check("shapes3d", tmp_path)


def test_cars3d_wants_every_car(write):
    root, _ = write("cars3d", leave_out=["data/cars/car_3_mesh.mat"])
    with pytest.raises(data.CorruptData, match="holds 3 cars, expected 4"):
        data.load("cars3d", root=root)


# small NORB


def norb_matrix(array):
    """An array in NORB's format, as its page describes it."""
    kind = {"uint8": 0x1E3D4C55, "int32": 0x1E3D4C54}[array.dtype.name]
    shape = [*array.shape, 1, 1][: max(3, array.ndim)]
    return struct.pack(f"<{2 + len(shape)}i", kind, array.ndim, *shape) + array.tobytes()


@pytest.fixture
def norb(monkeypatch, tmp_path):
    """Ten stereo pairs a split: root, and the arrays by split and kind."""
    source, arrays = grids.SmallNorb(), {}
    rng = np.random.RandomState(1)
    for split, instances in (("train", (4, 6, 7, 8, 9)), ("test", (0, 1, 2, 3, 5))):
        info = rng.randint(0, (9, 18, 6), size=(10, 3)) * (1, 2, 1)
        info = np.column_stack([rng.choice(instances, 10), info]).astype(np.int32)
        category = (np.arange(10) % 5).astype(np.int32)
        arrays[split] = {
            "dat": rng.randint(0, 256, (10, 2, 96, 96), dtype=np.uint8),
            "cat": category,
            "info": info,
        }
        for kind, array in arrays[split].items():
            file = source.files[split, kind]
            path = tmp_path / "root" / file.path
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(norb_matrix(array))
            size = path.stat().st_size
            source.files[split, kind] = replace(file, digest=md5(path), size=size)
    monkeypatch.setitem(data.SOURCES, "smallnorb", source)
    return tmp_path / "root", arrays


def test_norb_is_read_as_published(norb, cache):
    root, arrays = norb
    status = data.status("smallnorb", root)
    assert (status.state, status.hint) == ("ok", str(root / "smallnorb"))
    parts = {split: data.load("smallnorb", split, root) for split in ("train", "test", "all")}
    for split in ("train", "test"):
        part, given = parts[split], arrays[split]
        assert np.array_equal(part.images, given["dat"][:, :1])  # the left ones
        assert part.labels.tolist() == given["cat"].tolist()
        assert part.factors[:, 0].tolist() == given["cat"].tolist()
        assert np.array_equal(part.factors[:, 1:] * torch.tensor([1, 1, 2, 1]), given["info"])
        assert part.factors.dtype == torch.int64
    both = parts["all"]
    assert both.factor_names == ("category", "instance", "elevation", "azimuth", "lighting")
    assert both.factor_sizes == (5, 10, 9, 18, 6)
    assert both.class_names == ("animal", "human", "airplane", "truck", "car")
    assert torch.equal(both.images, torch.cat([parts["train"].images, parts["test"].images]))
    assert torch.equal(both.factors[10:], parts["test"].factors)
    assert data.load("smallnorb", "test", root, size=64).image_shape == (1, 64, 64)
    assert not cache.exists()


def test_norb_is_mapped_and_cannot_be_changed(norb):
    root, arrays = norb
    images = data.load("smallnorb", "test", root).images
    assert images.untyped_storage().nbytes() == arrays["test"]["dat"].nbytes  # the right ones, too
    images.zero_()
    assert np.array_equal(data.load("smallnorb", "test", root).images, arrays["test"]["dat"][:, :1])


def test_norb_files_are_the_published_ones():
    source = data.SOURCES["smallnorb"]
    listed = source.files.values()
    assert len(listed) == 6
    # The one file whose content can be written down: five categories in turn.
    category = norb_matrix((np.arange(24_300) % 5).astype(np.int32))
    shapes = {"cat": (24_300,), "info": (24_300, 4), "dat": (24_300, 2, 96, 96)}
    for file in listed:
        kind = file.path.removesuffix(".mat").rpartition("-")[2]
        header = 8 + 4 * max(3, len(shapes[kind]))
        assert file.size == header + np.prod(shapes[kind]) * (1 if kind == "dat" else 4)
        if kind == "cat":
            assert (len(category), hashlib.md5(category).hexdigest()) == (file.size, file.digest)


@pytest.mark.parametrize("kind", ["dat", "cat", "info"])
def test_norb_wants_every_file_whole(norb, kind):
    root, _ = norb
    path = root / data.SOURCES["smallnorb"].files["test", kind].path
    content = path.read_bytes()
    path.write_bytes(content[:-1])
    for function in (data.check, data.load):  # even the train split is refused
        with pytest.raises(data.CorruptData, match=f"{path.name} has {len(content) - 1} bytes"):
            function("smallnorb", root=root)
    path.write_bytes(content[:-1] + bytes([content[-1] ^ 1]))
    with pytest.raises(data.CorruptData, match=f"{path.name} has the md5 checksum"):
        data.load("smallnorb", root=root)
    path.unlink()
    with pytest.raises(FileNotFoundError, match=f"{path.name} is missing"):
        data.check("smallnorb", root)


def test_norb_file_of_another_kind_is_refused(norb):
    root, _ = norb
    listed = data.SOURCES["smallnorb"].files
    path = root / listed["train", "dat"].path
    path.write_bytes(b"\x00\x00\x08\x03" + path.read_bytes()[4:])  # MNIST's magic number
    listed["train", "dat"] = replace(listed["train", "dat"], digest=md5(path))
    with pytest.raises(data.CorruptData, match="begins with 0x3080000: not a matrix of NORB's"):
        data.load("smallnorb", root=root)


def test_norb_is_downloaded_and_unpacked(norb, server, tmp_path, monkeypatch, capfd):
    root, arrays = norb
    folder, address, asked = server
    listed = data.SOURCES["smallnorb"].files
    for key, file in listed.items():
        name = f"{Path(file.path).name}.gz"
        (folder / name).write_bytes(gzip.compress((root / file.path).read_bytes()))
        assert file.url.endswith(f"/{name}")
        listed[key] = replace(file, url=f"{address}/{name}")
    fresh = tmp_path / "fresh"
    both = data.load("smallnorb", "all", fresh, download=True)
    assert np.array_equal(both.images[:10], arrays["train"]["dat"][:, :1])
    assert len(asked) == 6
    assert {path.suffix for path in (fresh / "smallnorb").iterdir()} == {".mat"}
    next((fresh / "smallnorb").iterdir()).unlink()
    data.load("smallnorb", "all", fresh, download=True)
    assert len(asked) == 7  # only the one that was missing


@pytest.mark.parametrize(
    "content",
    [gzip.compress(b"x" * 10_000), b"<html>log in</html>", b""],
    ids=["larger", "a page", "empty"],
)
def test_another_packed_file_is_not_put_in_place(content, server, tmp_path, capfd):
    from mdlib.data import files

    folder, address, _ = server
    (folder / "a.bin.gz").write_bytes(content)
    file = files.File("a.bin", "0" * 64, 100, url=f"{address}/a.bin.gz")
    with pytest.raises(data.CorruptData, match=r"a\.bin\.gz is not the file that was expected"):
        files.download(file, tmp_path)
    assert not list(tmp_path.glob("a.bin*"))
