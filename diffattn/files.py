"""Check folders before the work begins, list them, lock them, and write files whole."""

import errno
import json
import os
import shutil
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from diffattn.errors import ResultError, RunError, UserError

try:
    import fcntl
except ImportError:  # Windows
    fcntl = None  # type: ignore[assignment]


#: The most bytes of a JSON file; a run's has some kilobytes.
MOST_JSON = 2**26


def expand(path: str | os.PathLike) -> Path:
    """Return a path with a leading ``~`` or ``~user`` replaced by that home folder.

    A shell does this at the start of a word, but not after ``--output=`` or in quotes.

    Args:
        path: as the user typed it.

    Returns:
        The `pathlib.Path`.

    Raises:
        UserError: if there is no such user, or if no path can be spelled like this.
    """
    if "\0" in os.fspath(path):
        raise UserError(f"no path has a null character. Received: {path!r}")
    try:
        os.fsencode(path)
        return Path(path).expanduser()
    except UnicodeEncodeError as error:
        raise UserError(f"no path can be spelled like this: {path!r}") from error
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
    write_bytes(path, (json.dumps(document, indent=1) + "\n").encode())


def write_bytes(path: Path, content: bytes) -> None:
    """Write a file, whole or not at all, even if the power is cut.

    Args:
        path: where to write it.
        content: its bytes.
    """
    new = path.with_suffix(".new")
    try:
        new.write_bytes(content)
        sync(new)
        os.replace(new, path)
    except BaseException:
        new.unlink(missing_ok=True)
        raise


def sync(path: Path) -> None:
    """Wait until the disk has a file that was written."""
    descriptor = os.open(path, os.O_RDWR)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def read_file(path: Path, most: int | None = None) -> bytes:
    """Read an ordinary file; a pipe or a device could keep the reader waiting for ever.

    Args:
        path: the file.
        most: the largest number of bytes that it may have, or None.

    Returns:
        Its bytes.

    Raises:
        OSError: if it cannot be read, is no ordinary file, or is larger.
    """
    if not stat.S_ISREG(os.stat(path).st_mode):
        raise OSError(errno.EINVAL, "it is not an ordinary file", str(path))
    with open(path, "rb") as file:
        content = file.read() if most is None else file.read(most + 1)
    if most is not None and len(content) > most:
        raise OSError(errno.EFBIG, f"it has more than {most:,} bytes", str(path))
    return content


def read_json(path: Path) -> dict:
    """Read a JSON file from a run's folder.

    Args:
        path: the file.

    Returns:
        Its JSON values.

    Raises:
        RunError: if the file is missing, damaged, or cannot be read.
    """
    try:
        return json.loads(read_file(path, MOST_JSON).decode("utf-8"))
    except FileNotFoundError as error:
        raise RunError(f"{path.parent} is not a run: it has no {path.name}") from error
    except OSError as error:  # a folder of that name, a loop of links
        raise RunError(f"{path} cannot be read: {error.strerror}") from error
    except (RecursionError, ValueError) as error:
        raise RunError(f"{path} is damaged: {error}") from error


def delete(path: Path) -> None:
    """Delete a file, a link, or a folder with all that is in it, if it is there."""
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)


@contextmanager
def hold(folder: Path) -> Iterator[None]:
    """Keep other trainings out of a run's folder as long as the block runs.

    The lock is on the folder itself, so it leaves no file behind, and the system
    releases it when the process ends, killed or not. Where the system or the file
    system has no such locks (Windows, some network drives), there is none.

    Args:
        folder: the folder.

    Raises:
        RunError: if another training holds the folder, or if it has gone.
    """
    if fcntl is None:
        yield
        return
    try:
        descriptor = os.open(folder, os.O_RDONLY)
    except OSError as error:
        raise RunError(f"{folder} cannot be opened: {error.strerror}") from error
    try:
        _lock(descriptor, folder)
        yield
    finally:
        os.close(descriptor)


def _lock(descriptor, folder):
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError as error:
        raise RunError(
            f"{folder} is in use: another process trains this run; wait until it ends"
        ) from error
    except OSError:  # a file system without locks
        return
    # Whoever held it may have finished and renamed the folder in the meantime.
    if not (
        folder.is_dir() and os.path.samestat(os.fstat(descriptor), os.stat(folder))
    ):
        raise RunError(f"there is no folder {folder} any more")
