"""Fit the linear models that the studies have as marks, and store what they reach.

python results/fit_marks.py [NAME ...]
"""

import sys
from pathlib import Path

from diffattn.studies.marks import DATA, fit_marks

folder = Path(__file__).parent / "linear"
for name in sys.argv[1:] or DATA:
    fit_marks(name, folder)
