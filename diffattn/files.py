"""Folders and files: refused before the work, or written whole."""

import json
import os
from pathlib import Path

from diffattn.checks import UserError


def check_folder(path: str | os.PathLike) -> None:
    """Before the work, see that a folder is there or can be made for what comes of it.

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


def write_json(path: Path, document) -> None:
    """Write a file whole or not at all.

    Args:
        path: the file's.
        document: JSON values.
    """
    new = path.with_suffix(".new")
    new.write_text(json.dumps(document, indent=1) + "\n")
    os.replace(new, path)
