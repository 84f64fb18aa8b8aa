import os
import signal

from hypothesis import settings

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
# A process that crashes says where, those that tests start as well.
os.environ.setdefault("PYTHONFAULTHANDLER", "1")
# Figures go to files; no test needs a screen.
os.environ.setdefault("MPLBACKEND", "agg")

# A shell makes background jobs ignore Ctrl-C, and child processes inherit that: the
# tests that send it to a process of their own would fail.
signal.signal(signal.SIGINT, signal.default_int_handler)

# How many inputs a property is tested with: `pytest --hypothesis-profile=long`.
settings.register_profile("short", max_examples=10, deadline=None, derandomize=True)
settings.register_profile("long", max_examples=250, deadline=None, print_blob=True)
settings.load_profile("short")
