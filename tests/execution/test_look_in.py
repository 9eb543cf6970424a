"""A detached driver, and what is seen and asked of it from another shell."""

import json
import os
import signal
from contextlib import suppress

import pytest

from harness.execution.drivers import drivers, is_meant, run_name

WAITS = """
import os, time

def run(context, *, how):
    with context.checkpoint("state") as file:
        file.write(b"1")
    if how == "fails once" and not os.path.exists("mended"):
        raise ValueError("not yet")
    if how == "goes on":
        step = 0
        while not context.should_stop():
            step += 1
            context.report(step, m=0.5)
            time.sleep(0.1)
        return None
    return {"m": 1.0}
"""


@pytest.fixture
def detached(lab):
    """Return a function that starts a driver by `--detach`, and returns what that says; it is ended after the test."""

    def start(*arguments):
        ended = lab.run("run", "grid", "study.yml", "--detach", "--format", "json", *arguments)
        assert ended.code == 0, ended.err
        return json.loads(ended.out)

    yield start
    for driver in drivers(lab.db.parent):
        if driver.lives:
            os.kill(driver.pid, signal.SIGKILL)
    for pid in lab.processes():
        with suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)


def status(lab, *arguments):
    return json.loads(lab.here("run", "status", "--format", "json", *arguments).out)


def logged(lab, *driver):
    """Return the events in a driver's log, in which there may be warnings."""
    lines = lab.here("run", "logs", *driver, "--lines", 500).out.splitlines()
    return [json.loads(line) for line in lines if line.startswith("{")]


def test_a_detached_call_is_looked_at_asked_and_stopped_from_another_shell(lab, detached, wait_until):
    lab.own(WAITS, '"fails once"', '"goes on"', '"ends"')
    facts = detached()
    driver = facts["driver"]
    seen = wait_until(lambda: (now := status(lab)) and now[0]["running"] and now[0]["running"][0]["progress"] and now)
    assert [(each["driver"], each["pid"], each["lives"], each["studies"]) for each in seen] == [
        (driver, facts["pid"], True, ["own"])
    ]
    assert (seen[0]["expected"], seen[0]["ended"]) == (3, {"failed": 1})
    assert [run["label"] for run in seen[0]["running"]] == ["own: goes on, seed 0"]
    text = lab.here("run", "status").out
    assert "own: goes on, seed 0: step " in text
    assert driver[:8] in text
    assert logged(lab)[2]["error"].startswith("ValueError: not yet")
    (lab.folder / "mended").touch()
    assert lab.here("run", "retry", "own:fails once:0").out.startswith(f"asked driver {driver[:8]}")
    assert lab.here("run", "skip", "own:goes*:*").code == 0
    wait_until(lambda: status(lab) == [])
    (ended,) = status(lab, "--all")
    assert (ended["lives"], ended["ended"]) == (False, {"done": 2, "failed": 1, "skipped": 1})
    assert sorted(lab.states()) == ["done", "done", "failed", "interrupted"]
    assert {each["state"] for each in logged(lab, driver[:6]) if each["event"] == "ended"} == {
        "failed",
        "skipped",
        "done",
    }
    again = detached()
    wait_until(lambda: status(lab) and status(lab)[0]["running"])
    stopped = lab.here("run", "stop", again["driver"][:8], "--wait", "--format", "json")
    assert json.loads(stopped.out) == [{"driver": again["driver"], "pid": again["pid"], "asked": "stop"}]
    assert logged(lab)[-1]["interrupted"] is True
    assert lab.here("run", "stop").err == "Error: no driver is at work on results/harness.db\n"


def test_a_detached_call_that_cannot_run_says_why(lab):
    lab.own(WAITS, '"ends"')
    ended = lab.run("run", "grid", "study.yml", "--detach", "--only", "no*")
    assert (ended.code, ended.err.count("\n")) == (2, 1)
    assert "no*" in ended.err


def test_events_are_a_line_of_json_each(lab):
    lab.own(WAITS, '"ends"', '"fails once"')
    ended = lab.grid("--format", "json")
    events = [json.loads(line) for line in ended.out.splitlines()]
    assert [event["event"] for event in events] == ["total", "started", "ended", "started", "ended", "end"]
    first, second = (event for event in events if event["event"] == "ended")
    assert (first["run"], first["state"], first["results"]["m"]) == ("own: ends, seed 0", "done", 1.0)
    assert second["error"].startswith("ValueError: not yet")
    assert events[-1]["ended"] == {"done": 1, "failed": 1}
    assert ended.code == 1


def test_runs_are_meant_by_name_or_pattern():
    label = "own: spatial: 50%, seed 12"
    assert run_name(label) == "own:spatial: 50%:12"
    assert is_meant(label, "own:spatial: 50%:12")
    assert is_meant(label, "own:spatial*:*")
    assert not is_meant(label, "own:spatial: 50%:1")
