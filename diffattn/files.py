"""Check folders before the work begins, list them, and write files whole."""

import json
import os
from pathlib import Path

from diffattn.errors import ResultError, RunError, UserError


def expand(path: str | os.PathLike) -> Path:
    """Return a path with a leading ``~`` or ``~user`` replaced by that home folder.

    A shell does this at the start of a word, but not after ``--output=`` or in quotes.

    Args:
        path: as the user typed it.

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
    """List the JSON files in a folder, except those whose names begin with a dot.

    Other programs leave those: macOS, for example, writes ``._NAME.json`` beside
    NAME.json on drives with another file system.

    Args:
        folder: the folder.

    Returns:
        The paths, sorted; an empty list if there is no such folder.
    """
    paths = expand(folder).glob("*.json")
    return sorted(path for path in paths if not path.name.startswith("."))


def result_files(folder: str | os.PathLike) -> list[Path]:
    """List the JSON files in a folder of results, at least one.

    Args:
        folder: the folder.

    Returns:
        The paths, sorted.

    Raises:
        ResultError: if the folder is missing or has no JSON file.
    """
    if not expand(folder).is_dir():
        raise ResultError(f"there is no folder {folder}")
    if not (paths := json_files(folder)):
        raise ResultError(f"there are no results in {folder}")
    return paths


def check_folder(path: str | os.PathLike) -> None:
    """Check that a folder is writable or can be made, before the work that fills it.

    Raises:
        UserError: if something else is in its place, or it may not be written.
    """
    path = expand(path)
    # lexists, because a broken link is in the way too.
    existing = next(p for p in (path, *path.parents) if os.path.lexists(p))
    if not (existing.is_dir() and os.access(existing, os.W_OK)):
        raise UserError(
            f"cannot make the folder {path}: {existing} is not a writable folder"
        )


def write_json(path: Path, document: object) -> None:
    """Write JSON values to a file, whole or not at all.

    Args:
        path: where to write them.
        document: the values.
    """
    new = path.with_suffix(".new")
    new.write_text(json.dumps(document, indent=1) + "\n", encoding="utf-8")
    os.replace(new, path)


def read_json(path: Path) -> dict:
    """Read a JSON file from a run's folder.

    Args:
        path: the file.

    Returns:
        Its JSON values.

    Raises:
        RunError: if the file is missing or damaged.
    """
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError as error:
        raise RunError(f"{path.parent} is not a run: it has no {path.name}") from error
    except ValueError as error:
        raise RunError(f"{path} is damaged: {error}") from error
