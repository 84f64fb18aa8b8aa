"""Record where a result comes from: versions, commit, machine and time."""

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
    """Describe the software and the machine that produce a result.

    Returns:
        A dict of JSON values: ``time`` (UTC, ISO 8601), ``versions`` of Python
        and the packages, Keras's ``backend``, the ``commit`` of the package's
        checkout (followed by "+changes" if files differ from it; None outside a
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
    """Return a package's version, None if it is neither installed nor imported."""
    try:
        return version(package)
    except PackageNotFoundError:  # installed by another name, such as tensorflow-cpu
        return getattr(sys.modules.get(package), "__version__", None)


def _commit():
    folder = Path(__file__).parent
    # The commit says nothing if the package is installed inside another checkout.
    if _git(folder, "ls-files", "--error-unmatch", __file__) is None:
        return None
    commit = _git(folder, "rev-parse", "HEAD")
    changed = commit and _git(folder, "status", "--porcelain", ".")
    return f"{commit}+changes" if changed else commit


def _git(folder, *arguments):
    """Return what git prints, None if it fails."""
    try:
        answer = subprocess.run(
            ["git", "-C", folder, *arguments],
            capture_output=True,
            text=True,
            errors="replace",  # file names need not be text
            check=True,
        )
    except (OSError, subprocess.CalledProcessError):
        return None
    return answer.stdout.strip()
