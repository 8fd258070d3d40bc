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


def test_run_is_determined_by_its_seed() -> None:
    scenario = Scenario(ONE, "mixed", 7, kills=5, webhooks=2, foreign=Foreign(4, 2))
    assert story(scenario) == story(scenario)
    assert story(scenario) != story(scenario._replace(seed=8))


def test_parallel_runs_equal_single_runs() -> None:
    scenarios = [Scenario(ONE, "bar closes", seed) for seed in range(30)]
    assert [record.finished for record in run_all(scenarios)] == [run(scenario).finished for scenario in scenarios]


def test_virtual_time_is_monotonic_and_simultaneous_events_keep_order() -> None:
    world, seen = World(0), list[tuple[str, float]]()
    world.after(2.0, lambda: seen.append(("late", world.now - BEGIN)))
    world.after(1.0, lambda: world.at(0.0, lambda: seen.append(("overdue", world.now - BEGIN))))
    world.after(1.0, lambda: seen.append(("same", world.now - BEGIN)))
    world.run(BEGIN + 1.5)
    assert seen == [("same", 1.0), ("overdue", 1.0)]


@pytest.mark.parametrize("text", ["sliding:5/2,fixed:30/60", "leaky:5/5,aligned:30/60,silent"])
def test_model_text_round_trips(text: str) -> None:
    assert str(Model.parse(text)) == text


@pytest.mark.parametrize(("rate", "seconds"), [("5/1", 63.0), ("5/2", 66.0), ("5/5", 75.0)])
def test_floor_equals_arithmetic(rate: str, seconds: float) -> None:
    """Fifty messages: thirty in the first minute, and four rounds of five in the second."""
    assert universal(Model.parse(f"leaky:{rate},leaky:30/60"), 500) == pytest.approx(seconds, abs=1e-3)


def test_omniscient_sender_may_be_faster_than_floor() -> None:
    assert omniscient(Model.parse("fixed:5/2,leaky:30/60"), 500) == pytest.approx(40.0, abs=1e-3)
    assert omniscient(Model.parse("fixed:5/2,aligned:30/60"), 500, at=50.0) == pytest.approx(18.0, abs=1e-3)


@pytest.mark.parametrize("model", models(silent=False)[::3], ids=str)
def test_no_sender_is_faster_than_omniscient_one(model: Model) -> None:
    record = run(Scenario(model, "burst of 500", 3))
    assert record.finished - BEGIN >= omniscient(model, 500, BEGIN + ahead(3))


def test_headers_only_sender_is_refused_by_channel() -> None:
    record = run(Scenario(ONE, "burst of 500", 0, "headers only"))
    assert record.refused["shared"] > 50
    assert (record.refused["user"], record.lost, record.overtaken) == (0, 0, 0)


def test_retrying_sender_is_banned() -> None:
    record = run(Scenario(ONE, "burst of 500", 0, "one each"))
    assert record.banned
    assert record.lost > 400


def test_kills_repeat_requests_in_flight() -> None:
    assert run(Scenario(ONE, "burst of 500", 0, kills=30)).copies


def test_scenario_text_is_the_command_that_repeats_it(capsys: pytest.CaptureFixture[str]) -> None:
    scenario = Scenario(ONE, "bar closes", 5, kills=2, foreign=Foreign(2))
    arguments = str(scenario).replace("python -m tests.simulator ", "").replace("'bar closes'", "bar_closes")
    main([word.replace("_", " ").strip("'") for word in arguments.split()])
    told = capsys.readouterr().out
    assert str(scenario) in told
    assert told.count("  send ") == run(scenario).requests
    main(["--workload", "1/s", "--brief", "--foreign", "3"])
    assert "  send " not in capsys.readouterr().out
