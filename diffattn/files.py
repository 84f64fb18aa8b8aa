"""Folders and files: refused before the work, or written whole."""

import json
import os
from pathlib import Path

from diffattn.errors import ResultError, RunError, UserError


def expand(path: str | os.PathLike) -> Path:
    """Return a path with a leading ``~`` or ``~user`` replaced by that home folder.

    A shell does this for a word of its own, but not after ``--output=`` or in quotes.

    Args:
        path: as a user writes it.

    Returns:
        The `pathlib.Path`.

    Raises:
        UserError: if there is no such user.
    """
    try:
        return Path(path).expanduser()
    except RuntimeError as error:
        raise UserError(
            f"cannot expand {path}: there is no home folder {Path(path).parts[0]}"
        ) from error


def json_files(folder: str | os.PathLike) -> list[Path]:
    """List the JSON files in a folder, but none whose name begins with a dot.

    Such files are other programs' own: macOS, for example, leaves ``._NAME.json``
    beside NAME.json on drives of other systems.

    Args:
        folder: the folder.

    Returns:
        The paths, sorted; none if there is no such folder.
    """
    paths = expand(folder).glob("*.json")
    return sorted(path for path in paths if not path.name.startswith("."))


def result_files(folder: str | os.PathLike) -> list[Path]:
    """List the JSON files in a folder of results, of which there must be one.

    Args:
        folder: the folder.

    Returns:
        The paths, sorted.

    Raises:
        ResultError: if there is no such folder, or no JSON file in it.
    """
    if not expand(folder).is_dir():
        raise ResultError(f"there is no folder {folder}")
    if not (paths := json_files(folder)):
        raise ResultError(f"there are no results in {folder}")
    return paths


def check_folder(path: str | os.PathLike) -> None:
    """See that a folder is there or can be made, before the work for it is done.

    Raises:
        UserError: if something else is in its place, or it may not be written.
    """
    path = expand(path)
    # A link to nothing is there too, and in the way.
    there = next(p for p in (path, *path.parents) if os.path.lexists(p))
    if not (there.is_dir() and os.access(there, os.W_OK)):
        raise UserError(
            f"cannot make the folder {path}: {there} is no folder that may be written"
        )


def write_json(path: Path, document: object) -> None:
    """Write a file whole or not at all.

    Args:
        path: the file's.
        document: JSON values.
    """
    new = path.with_suffix(".new")
    new.write_text(json.dumps(document, indent=1) + "\n", encoding="utf-8")
    os.replace(new, path)


def read_json(path: Path) -> dict:
    """Read a file of a run's folder.

    Args:
        path: the file's.

    Returns:
        JSON values.

    Raises:
        RunError: if the file is missing or damaged.
    """
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError as error:
        raise RunError(f"{path.parent} is not a run: it has no {path.name}") from error
    except ValueError as error:
        raise RunError(f"{path} is damaged: {error}") from error
