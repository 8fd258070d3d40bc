"""`python -m tests.bench [b1 b5 ...] [--json FILE] [--quick]`: all benches, or those named."""

from . import (
    b1_handoff,
    b2_throughput,
    b4_start,
    b5_pacing,
    b6_urgent,
    b7_end_to_end,
    b8_memory,
    b9_restart,
    b10_idle,
    b11_trading,
    b12_hosts,
    b12r_real_hosts,
    b13_http,
)
from .command import main

BENCHES = {
    "b1": b1_handoff.measure,
    "b2": b2_throughput.measure,
    "b4": b4_start.measure,
    "b5": b5_pacing.measure,
    "b6": b6_urgent.measure,
    "b7": b7_end_to_end.measure,
    "b8": b8_memory.measure,
    "b9": b9_restart.measure,
    "b10": b10_idle.measure,
    "b11": b11_trading.measure,
    "b12": b12_hosts.measure,
    "b12r": b12r_real_hosts.measure,
    "b13": b13_http.measure,
}

if __name__ == "__main__":
    main(BENCHES)
