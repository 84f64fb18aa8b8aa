import os
import signal

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
# Figures go to files; no test needs a screen.
os.environ.setdefault("MPLBACKEND", "agg")

# A shell makes background jobs ignore Ctrl-C, and child processes inherit that: the
# tests that send it to a process of their own would fail.
signal.signal(signal.SIGINT, signal.default_int_handler)
