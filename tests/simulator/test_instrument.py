"""That the simulator measures what it says: or its silence would mean nothing."""

from __future__ import annotations

import pytest
from tests.simulator.__main__ import main
from tests.simulator.floor import omniscient, universal
from tests.simulator.many import ONE, models, run_all
from tests.simulator.scenario import Foreign, Scenario, ahead, run
from tests.simulator.server import Model
from tests.simulator.world import BEGIN, World


def story(scenario: Scenario) -> list[tuple[float, str]]:
    lines: list[tuple[float, str]] = []
    run(scenario, lambda now, line: lines.append((now, line)))
    return lines


def test_a_seed_is_a_whole_run() -> None:
    scenario = Scenario(ONE, "mixed", 7, kills=5, webhooks=2, foreign=Foreign(4, 2))
    assert story(scenario) == story(scenario)
    assert story(scenario) != story(scenario._replace(seed=8))


def test_many_runs_at_once_are_the_same_runs() -> None:
    scenarios = [Scenario(ONE, "bar closes", seed) for seed in range(30)]
    assert [book.finished for book in run_all(scenarios)] == [run(scenario).finished for scenario in scenarios]


def test_time_goes_forward_and_what_is_to_happen_at_once_happens_in_order() -> None:
    world, seen = World(0), list[tuple[str, float]]()
    world.after(2.0, lambda: seen.append(("late", world.now - BEGIN)))
    world.after(1.0, lambda: world.at(0.0, lambda: seen.append(("overdue", world.now - BEGIN))))
    world.after(1.0, lambda: seen.append(("same", world.now - BEGIN)))
    world.run(BEGIN + 1.5)
    assert seen == [("same", 1.0), ("overdue", 1.0)]


@pytest.mark.parametrize("text", ["sliding:5/2,fixed:30/60", "leaky:5/5,aligned:30/60,silent"])
def test_a_model_is_written_as_it_is_read(text: str) -> None:
    assert str(Model.parse(text)) == text


@pytest.mark.parametrize(("rate", "seconds"), [("5/1", 63.0), ("5/2", 66.0), ("5/5", 75.0)])
def test_the_floor_is_what_arithmetic_says(rate: str, seconds: float) -> None:
    """Fifty messages: thirty in the first minute, and four rounds of five in the second."""
    assert universal(Model.parse(f"leaky:{rate},leaky:30/60"), 500) == pytest.approx(seconds, abs=1e-3)


def test_who_knows_the_model_and_the_phase_may_be_faster() -> None:
    assert omniscient(Model.parse("fixed:5/2,leaky:30/60"), 500) == pytest.approx(40.0, abs=1e-3)
    assert omniscient(Model.parse("fixed:5/2,aligned:30/60"), 500, at=50.0) == pytest.approx(18.0, abs=1e-3)


@pytest.mark.parametrize("model", models(silent=False)[::3], ids=str)
def test_nobody_is_faster_than_one_who_knows_everything(model: Model) -> None:
    book = run(Scenario(model, "burst of 500", 3))
    assert book.finished - BEGIN >= omniscient(model, 500, BEGIN + ahead(3))


def test_a_sender_that_knows_of_no_channel_is_refused() -> None:
    book = run(Scenario(ONE, "burst of 500", 0, "headers only"))
    assert book.refused["shared"] > 50
    assert (book.refused["user"], book.lost, book.overtaken) == (0, 0, 0)


def test_whoever_just_tries_again_is_banned() -> None:
    book = run(Scenario(ONE, "burst of 500", 0, "one each"))
    assert book.banned
    assert book.lost > 400


def test_power_cuts_send_what_was_in_flight_again() -> None:
    assert run(Scenario(ONE, "burst of 500", 0, kills=30)).copies


def test_a_failing_scenario_says_how_to_see_it(capsys: pytest.CaptureFixture[str]) -> None:
    scenario = Scenario(ONE, "bar closes", 5, kills=2, foreign=Foreign(2))
    arguments = str(scenario).replace("python -m tests.simulator ", "").replace("'bar closes'", "bar_closes")
    main([word.replace("_", " ").strip("'") for word in arguments.split()])
    told = capsys.readouterr().out
    assert str(scenario) in told
    assert told.count("  send ") == run(scenario).requests
    main(["--workload", "1/s", "--brief", "--foreign", "3"])
    assert "  send " not in capsys.readouterr().out
