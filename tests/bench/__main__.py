"""`python -m tests.bench [b1 b7 b8] [--json FILE] [--quick]`: all benches, or those named."""

from . import b1_handoff, b7_end_to_end, b8_memory
from .command import main

BENCHES = {"b1": b1_handoff.measure, "b7": b7_end_to_end.measure, "b8": b8_memory.measure}

if __name__ == "__main__":
    main(BENCHES)
