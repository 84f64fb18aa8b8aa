"""Run every chapter as a test, and build the book from what they print.

python book/build.py

jupyter-cache, which comes with jupyter-book, takes what chapters print to the pages.
What is newer than all that it is made from is not made again. If neither the package
nor the results have changed, only chapters with other code run again, in the build.
"""

import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

import nbformat
from jupyter_cache import get_cache
from jupyter_cache.base import CacheBundleIn

ROOT = Path(__file__).parents[1]
BOOK = ROOT / "book"
#: Where `jupyter-book build book` looks for what chapters print.
KEPT = BOOK / "_build" / ".jupyter_cache"
#: Written when all chapters have run.
RAN = KEPT / "ran"
#: The last file that a build writes.
BUILT = BOOK / "_build" / "html" / "searchindex.js"


def main():
    if is_newer(BUILT, "book", "diffattn", "results"):
        return
    if not is_newer(RAN, "diffattn", "results"):
        with tempfile.TemporaryDirectory() as folder:
            run_chapters(Path(folder))
    build = [Path(sys.executable).with_name("jupyter-book"), "build", "book", "--all"]
    run(build, "--warningiserror", "--keep-going")


def is_newer(made, *folders):
    """Tell whether a file is newer than all that it is made from."""
    newest = max(path.stat().st_mtime for path in sources(folders))
    return made.exists() and made.stat().st_mtime > newest


def sources(folders):
    """The files in these folders, without those that are made from others."""
    for folder in folders:
        for path in (ROOT / folder).rglob("*"):
            made = {"_build", "__pycache__", ".ipynb_checkpoints"} & set(path.parts)
            if path.is_file() and not made:
                yield path


def run_chapters(folder):
    """Run copies of the chapters in a folder, and keep them for the build."""
    for chapter in sorted(BOOK.glob("*.ipynb")):
        shutil.copy(chapter, folder)
    side_by_side = ["--numprocesses=2", "--dist=worksteal"]
    pytest = [
        sys.executable,
        "-m",
        "pytest",
        f"--config-file={ROOT / 'pyproject.toml'}",
    ]
    run(pytest, "--nbmake", "--overwrite", *side_by_side, folder)
    # What an earlier run has kept would not notice a change in the package.
    shutil.rmtree(KEPT, ignore_errors=True)
    cache = get_cache(KEPT)
    for path in sorted(folder.glob("*.ipynb")):
        chapter = nbformat.read(path, as_version=4)
        for cell in chapter.cells:  # the build asks for the same metadata, and no times
            cell.metadata.pop("execution", None)
        cache.cache_notebook_bundle(CacheBundleIn(chapter, str(BOOK / path.name)))
    RAN.touch()


def run(command, *options):
    """Run a command from the repository's root, and end as it ends if it fails."""
    if status := subprocess.run([*command, *options], cwd=ROOT).returncode:
        BUILT.unlink(missing_ok=True)  # or the next call would take it for a whole book
        sys.exit(status)


if __name__ == "__main__":
    main()
