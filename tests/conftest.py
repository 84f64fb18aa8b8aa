import os
import signal

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
# Figures are drawn into files; no test needs a screen.
os.environ.setdefault("MPLBACKEND", "agg")

# A shell that runs the tests in the background has them ignore Ctrl-C, and what is
# ignored is inherited: the tests that send it to a process of theirs would fail.
signal.signal(signal.SIGINT, signal.default_int_handler)
