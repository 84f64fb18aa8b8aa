import subprocess
import sys
from importlib.metadata import PackageNotFoundError, version

import pytest

from diffattn import provenance


def test_a_package_without_metadata_reports_its_version(monkeypatch):
    """As when imported from a checkout, or installed under another name."""
    installed = provenance.provenance()["versions"]
    assert set(installed) == {"python", "diffattn", "tensorflow", "keras", "numpy"}
    monkeypatch.setattr(sys, "path", [])  # where importlib looks for metadata
    with pytest.raises(PackageNotFoundError):
        version("keras")
    assert provenance.provenance()["versions"] == installed


def test_a_checkout_without_a_commit_reports_none(tmp_path, monkeypatch):
    copy = tmp_path / "diffattn" / "provenance.py"
    copy.parent.mkdir()
    copy.write_text("")
    for arguments in (["init", "--quiet"], ["add", "--all"]):
        subprocess.run(["git", "-C", tmp_path, *arguments], check=True)
    monkeypatch.setattr(provenance, "__file__", str(copy))
    assert provenance.provenance()["commit"] is None
