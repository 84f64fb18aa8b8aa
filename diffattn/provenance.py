"""Where a number comes from: versions, commit, machine and time."""

import os
import platform
import subprocess
import sys
from datetime import UTC, datetime
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

import keras

from diffattn import __version__

_PACKAGES = ("tensorflow", "keras", "numpy")


def provenance() -> dict:
    """What a result was made with.

    Returns:
        A dict of JSON values: ``time`` (UTC, ISO 8601), ``versions`` of Python
        and the packages, Keras's ``backend``, the ``commit`` of the package's
        checkout (with "+changes" where files differ from it, None outside a
        checkout), and the ``machine``: system, processor and number of cores.
    """
    return {
        "time": datetime.now(UTC).isoformat(timespec="seconds"),
        "versions": {
            "python": platform.python_version(),
            "diffattn": __version__,
            **{package: _version(package) for package in _PACKAGES},
        },
        "backend": keras.config.backend(),
        "commit": _commit(),
        "machine": {
            "system": platform.system(),
            "processor": platform.machine(),
            "cores": os.cpu_count(),
        },
    }


def _version(package):
    """None for what is neither installed nor imported."""
    try:
        return version(package)
    except PackageNotFoundError:  # installed by another name, as tensorflow-cpu
        return getattr(sys.modules.get(package), "__version__", None)


def _commit():
    folder = Path(__file__).parent
    # Installed inside somebody else's checkout, its commit would say nothing.
    if _git(folder, "ls-files", "--error-unmatch", __file__) is None:
        return None
    commit = _git(folder, "rev-parse", "HEAD")
    changed = commit and _git(folder, "status", "--porcelain", ".")
    return f"{commit}+changes" if changed else commit


def _git(folder, *arguments):
    """What git answers, None where it does not."""
    try:
        answer = subprocess.run(
            ["git", "-C", folder, *arguments],
            capture_output=True,
            text=True,
            errors="replace",  # a file's name can be anything
            check=True,
        )
    except (OSError, subprocess.CalledProcessError):
        return None
    return answer.stdout.strip()
