"""Real files: where they are looked for, how they are known to be whole; MNIST and its kin."""

from __future__ import annotations

import gzip
import hashlib
import math
import os
import zlib
from dataclasses import dataclass
from pathlib import Path

import torch

from mdlib.data.base import CorruptData, Dataset, Facts, Source
from mdlib.io import atomic_write, expanded

RETRIES = 2  # of a download that breaks off
_ROOT = "root=… in Python, --data-root on the command line, MDLIB_DATA in the environment"
WHERE = f"pass download=True to fetch it, or say where it is: {_ROOT}"


def cache_folder() -> Path:
    """Where mdlib keeps what it has decoded, and by default what it has downloaded."""
    import platformdirs

    return Path(platformdirs.user_cache_dir("mdlib"))


def data_root(root: str | os.PathLike | None = None) -> Path:
    """The folder of the data sets: `root`, else $MDLIB_DATA, else `data` in the cache folder."""
    chosen = root or os.environ.get("MDLIB_DATA") or cache_folder() / "data"
    return expanded(chosen)


def by_hand(path: str, origin: str) -> str:
    """Where to put a file, and where it is from: a `Source.how`, with its ROOT."""
    folder, _, name = path.rpartition("/")
    return f"put {name} ({origin}) into ROOT/{folder}"


@dataclass(frozen=True)
class File:
    """A file that is expected: where, and what makes it whole."""

    path: str  # below the data root
    digest: str  # hexadecimal
    size: int | None = None  # bytes
    algorithm: str = "sha256"
    url: str = ""  # of the file, or of what it is when packed by gzip (it then ends in .gz)
    by_hand: str = ""  # the sentence of `by_hand`, if nobody publishes it

    def verify(self, name: str, root: Path, quick: bool = False) -> None:
        """Raise FileNotFoundError or CorruptData unless the file is there and whole.

        `quick` trusts the size; where no size is known the checksum is computed all the same.
        """
        path, hint = root / self.path, f"{self.by_hand}; ROOT is {_ROOT}" if self.by_hand else WHERE
        if path.is_dir():
            raise FileNotFoundError(
                f"{name}: {path} is a folder, expected a file of that name. Remove it, then {hint}"
            )
        bytes_ = "" if self.size is None else f" ({self.size} bytes)"
        if not path.is_file():
            raise FileNotFoundError(f"{name}: {path} is missing{bytes_}: {hint}")
        if self.size is not None:
            size = path.stat().st_size
            if size != self.size:
                raise CorruptData(
                    f"{name}: {path} has {size} bytes, expected {self.size}:"
                    f" truncated, or another file. Remove it, then {hint}"
                )
            if quick:
                return
        with open(path, "rb") as file:
            digest = hashlib.file_digest(file, self.algorithm).hexdigest()
        if digest != self.digest:
            raise CorruptData(
                f"{name}: {path} has the {self.algorithm} checksum {digest},"
                f" expected {self.digest}: damaged, or another file. Remove it, then {hint}"
            )


def verify_all(name: str, files: list[File], root: Path, quick: bool) -> None:
    """Sizes of all files first, then checksums: a missing file is told of before any is hashed."""
    for file in files:
        if file.size is not None:
            file.verify(name, root, quick=True)
        elif not (root / file.path).is_file():
            file.verify(name, root)
    for file in files:
        file.verify(name, root, quick)


def how(source: Source, root: Path) -> str:
    """How to get the files of `source`, in one line."""
    return source.how.replace("ROOT", str(root))


def fetch(source: Source, root: Path) -> None:
    """Have `source` downloaded into `root`, unless it is there and whole already.

    Raises OSError, with what to do by hand, if that fails.
    """
    try:
        return source.verify(root)
    except (FileNotFoundError, CorruptData):
        pass
    try:
        source.download(root)
    except Exception as error:  # torchvision lets out whatever its network, zip or gdown raised
        reason = " ".join(f"{type(error).__name__}: {error}".split())  # on one line
        kind = CorruptData if isinstance(error, CorruptData) else OSError
        raise kind(
            f"{source.name}: the download into {root} failed: {reason}."
            f" By hand: {how(source, root)}"
        ) from error


def download(file: File, root: Path) -> None:
    """Fetch one file, with a progress bar and retries; it is put in place once it is known whole.

    Raises CorruptData if another file arrives, and whatever else pooch raises.
    """
    import pooch

    path, packed = root / file.path, file.url.endswith(".gz") and not file.path.endswith(".gz")
    _set_aside(path)
    name = f"{path.name}.gz" if packed else path.name
    known = None if packed else f"{file.algorithm}:{file.digest}"
    fetcher = pooch.create(path.parent, "", registry={name: known}, urls={name: file.url})
    fetcher.retry_if_failed = RETRIES
    try:
        fetcher.fetch(name, progressbar=True)
    except ValueError as error:  # pooch's word for another checksum
        raise CorruptData(f"{file.url} is not the file that was expected: {error}") from error
    if packed:
        try:
            with (
                atomic_write(path) as temporary,
                gzip.open(path.with_name(name)) as source,
                open(temporary, "wb") as target,
            ):
                digest, size, most = hashlib.new(file.algorithm), 0, file.size or math.inf
                while size <= most and (part := source.read(2**20)):  # a bomb is cut short
                    digest.update(part)
                    size += target.write(part)
                if digest.hexdigest() != file.digest:
                    raise ValueError(f"its {file.algorithm} checksum is {digest.hexdigest()}")
        except (EOFError, gzip.BadGzipFile, zlib.error, ValueError) as error:
            raise CorruptData(f"{file.url} is not the file that was expected: {error}") from error
        finally:
            path.with_name(name).unlink()


def _set_aside(path: Path) -> None:
    """What is at `path`, though it is not what should be there, is kept as NAME.corrupt."""
    if os.path.lexists(path):
        path.replace(path.with_name(f"{path.name}.corrupt"))


class Idx(Source):
    """MNIST and data sets in its format, in torchvision's layout: ROOT/FOLDER/raw/…-ubyte.

    Images are 28×28, grey; 60 000 train, 10 000 test. "all" is train, then test.
    """

    def __init__(self, name: str, title: str, class_names: tuple[str, ...], sha256: dict[str, str]):
        folder = title.replace("-", "")  # torchvision's class has the same name
        self.name, self.title, self.class_names, self.place = name, title, class_names, folder
        sizes = {"train-images-idx3": 47_040_016, "train-labels-idx1": 60_008}
        sizes |= {"t10k-images-idx3": 7_840_016, "t10k-labels-idx1": 10_008}
        self.files = [
            File(f"{folder}/raw/{part}-ubyte", sha256[part], size) for part, size in sizes.items()
        ]
        self.how = (
            f'load("{name}", download=True), or put the four unpacked *-ubyte files'
            f" into ROOT/{folder}/raw"
        )

    def verify(self, root: Path, quick: bool = False) -> None:
        verify_all(self.name, self.files, root, quick)

    def download(self, root: Path) -> None:
        import torchvision

        # torchvision takes any file of the right name for good, so a damaged one must step aside.
        for file in self.files:
            try:
                file.verify(self.name, root)
            except (CorruptData, FileNotFoundError):
                _set_aside(root / file.path)
        getattr(torchvision.datasets, self.place)(root, download=True)

    def describe(self, root: Path, size: int | None) -> Facts:
        from torchvision.datasets.mnist import read_label_file

        labels = [
            read_label_file(str(root / file.path)) for file in self.files if "labels" in file.path
        ]
        counts = (part.bincount(minlength=len(self.class_names)).tolist() for part in labels)
        return self._facts((1, size or 28, size or 28), self.class_names, *counts)

    def read(self, split: str, root: Path, size: int | None) -> Dataset:
        # The readers, not the class MNIST: that prefers an old processed/*.pt to what is verified.
        from torchvision.datasets.mnist import read_image_file, read_label_file

        raw = root / self.place / "raw"
        parts = {"train": ["train"], "test": ["t10k"], "all": ["train", "t10k"]}[split]
        images = [read_image_file(str(raw / f"{part}-images-idx3-ubyte")) for part in parts]
        labels = [read_label_file(str(raw / f"{part}-labels-idx1-ubyte")) for part in parts]
        pixels = torch.cat(images)[:, None]
        return self._dataset(split, pixels, torch.cat(labels), self.class_names)


# Source: Y. LeCun, C. Cortes, C. Burges, The MNIST database of handwritten digits, 1998.
MNIST = Idx(
    "mnist",
    "MNIST",
    tuple("0123456789"),
    {
        "train-images-idx3": "3fb4489293eb51f7fbfdbe6c194fad396fad3bd14f91a60eb1d237d7c56c193c",
        "train-labels-idx1": "a7a000f88acebef0832bb44faca0f9aa7b5914ef31ff773787accd422e257c35",
        "t10k-images-idx3": "1092cd5f2d297ac5fbc9fa21a8b18bb43b7e0cda662b00cc7ceba94795eca3d7",
        "t10k-labels-idx1": "3e48e976eda12e5ad7d8485a914ae5af51d042baeeea6ff5adcb33fa4adefd4d",
    },
)

# Source: H. Xiao, K. Rasul, R. Vollgraf, Fashion-MNIST, arXiv:1708.07747.
FASHION_MNIST = Idx(
    "fashion-mnist",
    "Fashion-MNIST",
    (
        "T-shirt/top",
        "trouser",
        "pullover",
        "dress",
        "coat",
        "sandal",
        "shirt",
        "sneaker",
        "bag",
        "ankle boot",
    ),
    {
        "train-images-idx3": "9fff5efa9144debe7134e5b10dfd1976575d4938d5e4dfa232c2f9ef638d0f0d",
        "train-labels-idx1": "7cd88f551e93510030f93325e39e5d8112c932e2d6d2b1fde7ead816545ae184",
        "t10k-images-idx3": "dcea6ed44d4eb63cfb4675817913ec690401a37740cbf03d464d72c8ec9331a8",
        "t10k-labels-idx1": "7a339b35539b8a4ac2cf350775f7074f0f49b5937fcbdb9aafd6b07b7b5f09d1",
    },
)
