"""Late news of a delivery, for each state here and there."""

from __future__ import annotations

import pytest

from tocsind.policy.delivery import SETTLED, State
from tocsind.policy.late_news import Step, corrected, step

NOT_POSTED = [State.EXPIRED, State.DROPPED, State.SILENCED, State.SUPERSEDED]


@pytest.mark.parametrize("here", [State.QUEUED, State.HELD])
@pytest.mark.parametrize("there", sorted(SETTLED, key=str))
def test_news_of_a_waiting_delivery_is_recorded(here: State, there: State) -> None:
    assert step(here, there) is Step.RECORD


@pytest.mark.parametrize("here", [*NOT_POSTED, State.DEAD, State.REROUTED, State.UNKNOWN])
def test_arrival_corrects_each_end_here_that_says_otherwise(here: State) -> None:
    assert step(here, State.SENT) is Step.CORRECT


@pytest.mark.parametrize("here", sorted(SETTLED, key=str))
def test_unknown_end_corrects_only_an_end_that_says_it_was_never_posted(here: State) -> None:
    assert (step(here, State.UNKNOWN) is Step.CORRECT) == (here in NOT_POSTED)


@pytest.mark.parametrize("here", sorted(SETTLED | {State.SENDING}, key=str))
@pytest.mark.parametrize("there", sorted(SETTLED - {State.SENT, State.UNKNOWN}, key=str))
def test_end_without_arrival_corrects_nothing(here: State, there: State) -> None:
    assert step(here, there) is Step.NOTHING


@pytest.mark.parametrize("there", [State.SENT, State.UNKNOWN])
@pytest.mark.parametrize("here", [State.SENT, State.DIGESTED, State.SENDING])
def test_arrival_here_stays(here: State, there: State) -> None:
    assert step(here, there) is Step.NOTHING


@pytest.mark.parametrize(("reason", "told"), [("its time passed", "its time passed"), (None, "expired")])
def test_corrected_reason_has_the_news_and_the_end_before(reason: str | None, told: str) -> None:
    assert corrected("sent by web-2", State.EXPIRED, reason) == f"sent by web-2; it had ended here before: {told}"
