"""Folders and files: refused before the work, or written whole."""

import json
import os
from pathlib import Path

from diffattn.errors import RunError, UserError


def check_folder(path: str | os.PathLike) -> None:
    """See that a folder is there or can be made, before the work for it is done.

    Raises:
        UserError: if something else is in its place, or it may not be written.
    """
    path = Path(path)
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
    new.write_text(json.dumps(document, indent=1) + "\n")
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
