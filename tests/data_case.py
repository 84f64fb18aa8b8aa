"""Let a test put its own reviews in place of IMDB's, read by the same code."""

import dataclasses
import tarfile
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest

from diffattn.data import imdb


def release_reviews(monkeypatch, folder: Path, folders: dict) -> Path:
    """Write reviews in the layout of aclImdb, and let `load_imdb` accept them.

    Args:
        monkeypatch: pytest's.
        folder: an empty folder to write into.
        folders: dict from "train/pos" and so on to a dict from file name to bytes,
            as many files in each.

    Returns:
        The folder, a source for `load_imdb`.
    """
    for name, files in folders.items():
        (folder / name).mkdir(parents=True)
        for file, content in files.items():
            (folder / name / file).write_bytes(content)
    release = dataclasses.replace(
        imdb.IMDB,
        reviews_per_folder=len(next(iter(folders.values()))),
        fingerprint=imdb.fingerprint(folders),
    )
    monkeypatch.setattr(imdb, "IMDB", release)
    return folder


@contextmanager
def small_archive():
    """A small data set in IMDB's place, its archive and the folder it lies in."""
    folders = {
        folder: {f"{i}_1.txt": f"{folder} {i}".encode() for i in range(3)}
        for folder in ("train/neg", "train/pos", "test/neg", "test/pos")
    }
    with TemporaryDirectory() as folder, pytest.MonkeyPatch.context() as patch:
        root = release_reviews(patch, Path(folder) / "aclImdb", folders)
        path = Path(folder) / "a.tar.gz"
        with tarfile.open(path, "w:gz") as archive:
            archive.add(root, "aclImdb")
        yield path
