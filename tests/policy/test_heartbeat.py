from __future__ import annotations

import pytest

from tocsind.policy.heartbeat import is_stalled

DAY = 86400.0


@pytest.mark.parametrize(
    ("waiting", "without_success", "paced", "stalled"),
    [
        pytest.param(None, DAY, False, False, id="a quiet daemon works"),
        pytest.param(301.0, 301.0, False, True, id="due for longer than patience, and nothing got through"),
        pytest.param(300.0, DAY, False, False, id="patience is not over yet"),
        pytest.param(DAY, 10.0, False, False, id="a long queue that moves"),
        pytest.param(DAY, DAY, True, False, id="a limit of ours, however long"),
        pytest.param(DAY, 299.0, False, False, id="an old backlog right after the start"),
    ],
)
def test_is_stalled_table(waiting: float | None, without_success: float, paced: bool, stalled: bool) -> None:
    assert is_stalled(waiting, without_success, paced=paced, patience=300.0) is stalled
