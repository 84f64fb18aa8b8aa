"""Run all chapters side by side, and keep what they print for the build of the book.

python book/run_chapters.py

What keeps it, jupyter-cache, comes with jupyter-book. A chapter that fails is not kept:
the build runs it again, and says what is wrong.
"""

import logging
import shutil
from pathlib import Path

import yaml
from jupyter_cache import get_cache
from jupyter_cache.executors import load_executor

BOOK = Path(__file__).parent
#: Where `jupyter-book build book` looks for them.
KEPT = BOOK / "_build" / ".jupyter_cache"


def main():
    # What an earlier run has kept would not notice a change in the package.
    shutil.rmtree(KEPT, ignore_errors=True)
    cache = get_cache(KEPT)
    for chapter in sorted(BOOK.glob("*.ipynb")):
        cache.add_nb_to_project(str(chapter))
    settings = yaml.safe_load((BOOK / "_config.yml").read_text())["execute"]
    logger = logging.getLogger(__name__)
    logger.setLevel(logging.INFO)  # name each chapter when it begins and when it ends
    executor = load_executor("local-parallel", cache, logger)
    executor.run_and_cache(timeout=settings["timeout"])


if __name__ == "__main__":
    main()
