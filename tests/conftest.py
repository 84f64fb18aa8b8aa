import os

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
# Figures are drawn into files; no test needs a screen.
os.environ.setdefault("MPLBACKEND", "agg")
