"""Let a test put its own reviews in place of IMDB's, read by the same code."""

import dataclasses
from pathlib import Path

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
