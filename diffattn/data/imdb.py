"""Locate or download the IMDB data set, verify it and split it."""

import bz2
import gzip
import hashlib
import lzma
import os
import re
import stat
import struct
import tarfile
import zipfile
import zlib
from contextlib import nullcontext
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING

import numpy as np
import pooch
from tqdm import tqdm

from diffattn.checks import check_int, check_validation_split
from diffattn.data.reviews import ReviewData, Reviews, split
from diffattn.errors import DataError, UserError
from diffattn.files import expand, read_file

if TYPE_CHECKING:
    from diffattn.training.config import Config

#: The environment variable that names a local copy of the data set.
IMDB_VARIABLE = "DIFFATTN_IMDB"


@dataclass(frozen=True)
class Release:
    """A published data set: its address, and what identifies a copy of it.

    Attributes:
        url, size, sha256: of the archive; the size in bytes.
        reviews_per_folder: in each of train/pos, train/neg, test/pos, test/neg.
        fingerprint: of the reviews themselves, however they are packed.
    """

    url: str
    size: int
    sha256: str
    reviews_per_folder: int
    fingerprint: str


#: The Large Movie Review Dataset v1.0 (Maas et al., ACL 2011).
IMDB = Release(
    url="http://ai.stanford.edu/~amaas/data/sentiment/aclImdb_v1.tar.gz",
    size=84_125_825,
    sha256="c40f74a18d3b61f90feba1e17730e0d38e8b97c05fde7008942e91923d1658fe",
    reviews_per_folder=12_500,
    fingerprint="95da7b54fc4225d19db775308b48b77706fc1608aedce6fb188e2ac5a38757ef",
)


def load_imdb(
    source: str | os.PathLike | None = None,
    *,
    validation_split: float = 0.2,
    seed: int = 42,
    progress: bool = False,
) -> ReviewData:
    """Load the labelled half of the Large Movie Review Dataset: 50,000 IMDB reviews.

    Without a source, it reads the copy that the environment variable
    ``DIFFATTN_IMDB`` names. Without that, it downloads the archive once (84 MB), checks
    its size and sha256, and stores it in the user's cache folder. An archive is read in
    place and never unpacked, so no path in it is trusted. The folders above ``train``
    and ``test`` may have any names: a fingerprint shows whether the reviews are those
    of the data set.

    Args:
        source: path of the folder that holds ``train`` and ``test``, or of one at most
            two levels above it; or path of an archive, tar (plain, gzip, bzip2, xz) or
            zip; or None.
        validation_split: share of the training reviews set aside, in (0, 1).
            The published figures come from 0.2; the documentation says 0.5.
        seed: int, decides which reviews are set aside. With 42 and 0.2, the split is
            that of `keras.utils.text_dataset_from_directory`.
        progress: bool, whether to show progress bars.

    Returns:
        A `ReviewData`: 25,000 reviews in train and validation, 25,000 in test.

    Raises:
        DataError: if the source is missing, damaged or incomplete, or holds other
            reviews or more than one copy; the message says what is wrong.
        ValueError: if validation_split is not in (0, 1), or seed not in [0, 2^32).
    """
    check_validation_split(validation_split)
    check_int("seed", seed, 0, 2**32)
    path = _locate(source, progress)
    folders = _read(path, progress)
    _check_complete(folders, path)
    actual = fingerprint(folders)
    if actual != IMDB.fingerprint:
        raise DataError(
            f"{path} has the right number of reviews, but not those of the Large "
            f"Movie Review Dataset v1.0: their fingerprint is {actual[:12]}…, not "
            f"{IMDB.fingerprint[:12]}…. Use an unchanged copy."
        )
    train, test = _reviews(folders, "train"), _reviews(folders, "test")
    return split("imdb", train, test, validation_split, seed, actual)


def fingerprint(folders: dict[str, dict[str, bytes]]) -> str:
    """Compute a sha256 of reviews, the same for a folder and any archive of it.

    Args:
        folders: dict from "train/pos" and so on to a dict from file name to
            the file's bytes.

    Returns:
        The 64 hexadecimal digits.
    """
    digest = hashlib.sha256()
    for folder in sorted(folders):
        for name in sorted(folders[folder]):
            content = hashlib.sha256(folders[folder][name]).hexdigest()
            digest.update(f"{folder}/{name} {content}\n".encode())
    return digest.hexdigest()


def _locate(source, progress):
    if source is None and (named := os.environ.get(IMDB_VARIABLE)):
        source = _expand(named)
        if not source.exists():
            raise DataError(f"{IMDB_VARIABLE} names {source}, which does not exist")
    if source is None:
        return _download(progress)
    source = _expand(source)
    if not source.exists():
        raise DataError(f"there is no file or folder {source}")
    return source


def _expand(path):
    try:
        return expand(path)
    except UserError as error:
        raise DataError(f"there is no file or folder {path}: {error}") from error


class _Bounded:
    """A file that takes no more than the archive has, whatever a server sends."""

    def __init__(self, file, url):
        self.file, self.url, self.size = file, url, 0
        self.flush = file.flush

    def write(self, content):
        self.size += len(content)
        if self.size > IMDB.size:
            raise DataError(f"{self.url} gave more than {IMDB.size:,} bytes")
        self.file.write(content)


def _download(progress):
    """Return the archive in the user's cache folder, fetched if it is not there."""

    def fetch(url, output_file, pooch_):
        with open(output_file, "wb") as file:
            bounded = _Bounded(file, url)
            pooch.HTTPDownloader(progressbar=progress)(url, bounded, pooch_)
        if bounded.size != IMDB.size:
            raise DataError(
                f"{url} gave {bounded.size:,} bytes instead of {IMDB.size:,}"
            )

    try:
        return Path(
            pooch.retrieve(
                IMDB.url,
                known_hash=f"sha256:{IMDB.sha256}",
                fname=IMDB.url.rsplit("/", 1)[1],
                path=pooch.os_cache("diffattn"),
                downloader=fetch,
            )
        )
    except DataError:
        raise
    except (OSError, ValueError) as error:  # network errors are OSErrors
        raise DataError(
            f"could not download {IMDB.url}: {error}. If you have a copy, give its "
            f"path or set {IMDB_VARIABLE}."
        ) from error


#: The most bytes of one review, of all together, and of an unpacked archive. The data
#: set has 14 kB, 66 MB and some 0.3 GB; a hostile archive of few bytes holds far more.
_LARGEST, _LARGEST_TOGETHER, _LARGEST_ARCHIVE = 2**20, 2**28, 2**32

#: The most entries of an archive; the data set has 100,000.
_MOST_ENTRIES = 10**6


class _TooLargeError(Exception):
    """What is read is larger than anything in the data set."""


def _check_size(name, size, most=_LARGEST):
    if size > most:
        raise _TooLargeError(f"{name} has {size:,} bytes, the most allowed is {most:,}")


_MEMBER = re.compile(r"(?:train|test)/(?:pos|neg)/[0-9]+_[0-9]+\.txt")
_FOLDERS = ("train/neg", "train/pos", "test/neg", "test/pos")


def _read(path, progress):
    """Read all labelled reviews at `path`, in the form that `fingerprint` takes."""
    folders = {folder: {} for folder in _FOLDERS}
    files = _files_in_folder(path) if path.is_dir() else _files_in_archive(path)
    total = IMDB.reviews_per_folder * len(_FOLDERS)
    bar = tqdm(
        files, "reading reviews", total, unit="", disable=None if progress else True
    )
    together = 0
    try:
        for member, content in bar:
            together += len(content)
            _check_size("what it holds", together, _LARGEST_TOGETHER)
            folder, name = member.rsplit("/", 1)
            folders[folder][name] = content
    except _TooLargeError as error:
        raise DataError(f"{path} is not the aclImdb data set: {error}") from error
    return folders


def _files_in_folder(path):
    """Yield each review in a folder as its name, train/pos/0_9.txt, and its bytes."""
    root = _root(path)
    for folder in _FOLDERS:
        for file in (root / folder).glob("*.txt"):
            member = f"{folder}/{file.name}"
            if _MEMBER.fullmatch(member):
                yield member, _read_review(file)


def _read_review(file):
    try:
        return read_file(file, most=_LARGEST)
    except OSError as error:  # a folder or a pipe of that name, a loop of links
        raise DataError(f"{file} cannot be read: {error.strerror}") from error


def _root(path):
    """Find the folder that holds ``train`` and ``test``."""
    for candidates in ([path / "aclImdb"], [path], path.glob("*"), path.glob("*/*")):
        roots = {
            os.path.realpath(root): root  # a link to a copy is not another copy
            for root in candidates
            # Unlike Path.is_dir, this is False for folders that may not be read.
            if any(os.path.isdir(root / folder) for folder in _FOLDERS)
        }
        if roots:
            _check_single(roots.values(), path)
            return min(roots.values())
    return path


def _files_in_archive(path):
    """Yield each review in an archive as its name, train/pos/0_9.txt, and its bytes."""
    roots = set()
    try:
        read = _read_zip if _is_zip(path) else _read_tar
        for name, content in read(path, _is_review):
            *root, part, kind, file = PurePosixPath(name).parts
            roots.add(PurePosixPath(*root))
            _check_single(roots, path)
            yield f"{part}/{kind}/{file}", content
    except DataError:
        raise
    # What tarfile and zipfile raise for damaged, encrypted and hostile archives.
    except (
        EOFError,
        LookupError,
        OSError,
        OverflowError,
        RuntimeError,
        ValueError,
        lzma.LZMAError,
        struct.error,
        tarfile.TarError,
        zipfile.BadZipFile,
        zlib.error,
    ) as error:
        raise DataError(
            f"{path} is not a readable archive, tar (plain, gzip, bzip2 or xz) or zip: "
            f"{error}"
        ) from error


def _is_review(name):
    parts = PurePosixPath(name).parts
    return ".." not in parts and bool(_MEMBER.fullmatch("/".join(parts[-3:])))


def _is_zip(path):
    if not path.is_file():  # a pipe can be read only once
        return False
    with open(path, "rb") as file:
        return file.read(4) == b"PK\x03\x04"


def _read_tar(path, wanted):
    """Yield name and bytes of the wanted files in a tar archive, read as a stream."""
    with (
        open(path, "rb") as file,
        _unpacked(file) as unpacked,
        tarfile.open(fileobj=unpacked, mode="r|", tarinfo=_Entry) as archive,
    ):
        for number, entry in enumerate(archive, start=1):
            archive.members = []  # or they would all stay in memory
            if number > _MOST_ENTRIES:
                raise _TooLargeError(f"it has more than {_MOST_ENTRIES:,} entries")
            _check_size("it", entry.offset_data + entry.size, _LARGEST_ARCHIVE)
            if entry.isreg() and wanted(entry.name):
                _check_size(entry.name, entry.size)
                yield entry.name, archive.extractfile(entry).read()


def _unpacked(file):
    """Return a file that reads the unpacked bytes of a file, a few at a time.

    By itself, tarfile (Python 3.13) unpacks 10 kB at once, which bzip2 can make 10 GB.
    """
    start = file.peek(6)
    for signature, module in _SIGNATURES.items():
        if start.startswith(signature):
            return module.open(file)
    return nullcontext(file)


#: The first bytes of compressed files, xz in its present and in its older format.
_SIGNATURES = {b"\x1f\x8b": gzip, b"BZh": bz2, b"\xfd7zXZ\0": lzma, b"]\0\0\x80": lzma}


#: Kinds of tar headers that hold something about the next entry, such as a long name.
_HEADERS = (
    tarfile.GNUTYPE_LONGNAME,
    tarfile.GNUTYPE_LONGLINK,
    tarfile.XHDTYPE,
    tarfile.XGLTYPE,
    tarfile.SOLARIS_XHDTYPE,
)


class _Entry(tarfile.TarInfo):
    """An entry of a tar archive whose headers may not fill the memory."""

    def _proc_member(self, archive):
        if self.type in _HEADERS:
            _check_size("a header", self.size)
        return super()._proc_member(archive)


#: The compressions that zipfile (Python 3.13) unpacks no further than it is asked to.
_BOUNDED = (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED)


def _read_zip(path, wanted):
    """Yield name and bytes of the wanted files in a zip archive."""
    with zipfile.ZipFile(path) as archive:
        for entry in archive.infolist():
            name = entry.filename.replace("\\", "/")  # some Windows programs write "\"
            if not stat.S_ISLNK(entry.external_attr >> 16) and wanted(name):
                _check_size(name, entry.file_size)
                if entry.compress_type not in _BOUNDED:
                    raise zipfile.BadZipFile(f"{name} is neither stored nor deflated")
                with archive.open(entry) as file:
                    yield name, file.read(_LARGEST)


def _check_single(roots, path):
    """Refuse several copies: none of them is the obvious one to read."""
    if len(roots) > 1:
        listed = ", ".join(sorted(map(str, roots)))
        raise DataError(
            f"{path} holds reviews in more than one folder: {listed}. Give one of them"
        )


def _check_complete(folders, path):
    wanted = IMDB.reviews_per_folder
    wrong = [
        f"{folder} has {len(files):,}"
        for folder, files in folders.items()
        if len(files) != wanted
    ]
    if wrong:
        raise DataError(
            f"{path} is not the whole aclImdb data set: each of its four folders "
            f"should hold {wanted:,} reviews, but {', '.join(wrong)}"
        )


def _reviews(folders, part):
    texts, labels = [], []
    for label, kind in enumerate(("neg", "pos")):
        files = folders[f"{part}/{kind}"]
        for name in sorted(files):
            try:
                texts.append(files[name].decode("utf-8"))
            except UnicodeDecodeError as error:
                raise DataError(
                    f"{part}/{kind}/{name} is not UTF-8: {error}"
                ) from error
            labels.append(label)
    return Reviews(np.array(texts, dtype=object), np.array(labels, dtype="int32"))


def load(config: "Config", progress: bool = False) -> ReviewData:
    """Load the IMDB reviews from the source in a `Config`, split as it says."""
    return load_imdb(
        None if config.data == "imdb" else config.data,
        validation_split=config.validation_split,
        seed=config.split_seed,
        progress=progress,
    )
