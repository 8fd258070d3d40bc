"""`python -m tests.bench [b1 b5 ...] [--json FILE] [--quick]`: all benches, or those named."""

from . import b1_handoff, b5_pacing, b6_urgent, b7_end_to_end, b8_memory
from .command import main

BENCHES = {
    "b1": b1_handoff.measure,
    "b5": b5_pacing.measure,
    "b6": b6_urgent.measure,
    "b7": b7_end_to_end.measure,
    "b8": b8_memory.measure,
}

if __name__ == "__main__":
    main(BENCHES)
