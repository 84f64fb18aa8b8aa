"""Folders and files: refused before the work, or written whole."""

import json
import os
from pathlib import Path

from diffattn.checks import UserError


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


def check_folder(path: str | os.PathLike) -> None:
    """Before the work, see that a folder is there or can be made for what comes of it.

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


def write_json(path: Path, document) -> None:
    """Write a file whole or not at all.

    Args:
        path: the file's.
        document: JSON values.
    """
    new = path.with_suffix(".new")
    new.write_text(json.dumps(document, indent=1) + "\n", encoding="utf-8")
    os.replace(new, path)
