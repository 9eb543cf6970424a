"""What functions start: processes of every kind run as in a plain script, and end with the attempt, however it ends."""

import json
import os
import signal

import pytest

OWN = """
import multiprocessing
import os
import signal
import subprocess
import sys
import time
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path

HERE = Path(__file__).parent


def run(context, *, how):
    return {"m": globals()[how]()}


def square(x):
    return x * x


def pool():
    with multiprocessing.Pool(2) as pool:
        return sum(pool.map(square, range(4)))


def spawned():
    with multiprocessing.get_context("spawn").Pool(1) as pool:
        return sum(pool.map(square, range(4)))


def executor():
    with ProcessPoolExecutor(2) as pool:
        return sum(pool.map(square, range(4)))


def terminated():
    child = subprocess.Popen(["sleep", "600"])
    child.terminate()
    return child.wait(60)


def interrupted():
    child = subprocess.Popen(["sleep", "600"])
    child.send_signal(signal.SIGINT)
    return child.wait(60)


def forked():
    child = os.fork()
    if child == 0:
        time.sleep(600)
    os.kill(child, signal.SIGTERM)
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])


def comes_back():
    child = os.fork()
    if child == 0:
        return 7
    os.waitpid(child, 0)
    return 3


def starts():
    children = [subprocess.Popen(["sleep", "600"], start_new_session=new) for new in (False, True)]
    worker = multiprocessing.Process(target=time.sleep, args=(600,))
    worker.start()
    (HERE / "part").write_text(f"{os.getpid()} {os.getppid()} {worker.pid} {children[0].pid} {children[1].pid}")
    (HERE / "part").rename(HERE / "pids")
    return children[0]


def leaves():
    starts()
    return 1


def waits():
    return starts().wait()


def prints():
    print("from Python \\udcff")
    print("to stderr", file=sys.stderr)
    subprocess.run(["echo", "from a child"])
    os.write(1, b"from C\\n")
    return 1
"""


def test_processes_of_every_kind_run_as_in_a_plain_script(own):
    expected = {
        "pool": 14, "spawned": 14, "executor": 14, "comes_back": 3,
        "terminated": -signal.SIGTERM, "interrupted": -signal.SIGINT, "forked": -signal.SIGTERM,
    }  # fmt: skip
    lab = own(*expected)
    ended = lab.grid()
    assert ended.code == 0, ended.err
    assert dict(lab.query(FOUND)) == expected


FOUND = """
SELECT json_extract(t.config_json, '$.arguments.how'), x.value FROM result x JOIN attempt a ON a.id = x.attempt_id
JOIN run r ON r.id = a.run_id JOIN trial t ON t.id = r.trial_id
"""


def test_what_a_function_leaves_ends_with_it_and_nobody_waits_for_it(own, is_alive):
    lab = own("leaves")
    ended = lab.run("run", "grid", "study.yml")  # until nobody holds its stdout any more
    assert (ended.code, lab.states()) == (0, ["done"])
    assert len(lab.started()) == 5
    assert not [pid for pid in lab.started() if is_alive(pid)]


def test_a_time_limit_ends_all_that_a_function_has_started(own, is_alive):
    lab = own("waits")
    ended = lab.grid("--timeout", 5)
    assert (ended.code, lab.states()) == (1, ["timeout"])
    assert len(lab.started()) == 5
    assert not [pid for pid in lab.started() if is_alive(pid)]


@pytest.mark.parametrize("who", ["driver", "worker", "guard", "Ctrl-C twice"])
def test_whoever_is_killed_takes_along_all_that_a_function_has_started(own, is_alive, wait_until, who):
    lab = own("waits")
    process = lab.start("run", "grid", "study.yml")
    worker, guard, *children = wait_until(lab.started)
    if who == "Ctrl-C twice":
        for _ in range(2):
            process.send_signal(signal.SIGINT)
            wait_until(lambda: list(lab.artifacts.glob("*/stop")))
    else:
        os.kill({"driver": process.pid, "worker": worker, "guard": guard}[who], signal.SIGKILL)
    ended = lab.finish(process)
    assert ended.code == {"driver": -signal.SIGKILL, "Ctrl-C twice": 130}.get(who, 1)
    if who == "guard":  # which alone knows of those in sessions of their own
        children.pop()
    wait_until(lambda: not any(is_alive(pid) for pid in (worker, guard, *children)), timeout=60)
    if who != "driver":
        assert lab.states() == ["lost"]


def test_what_is_printed_is_kept_and_none_of_it_reaches_the_drivers_stdout(own):
    lab = own("prints")
    ended = lab.run("run", "grid", "study.yml", "--format", "json")
    assert json.loads(ended.out.splitlines()[-1])["done"] == 1
    assert "from" not in ended.err
    (output,) = lab.artifacts.glob("*/output.txt")
    assert output.read_text() == "from Python \\udcff\nto stderr\nfrom a child\nfrom C\n"
    (row,) = json.loads(lab.here("results", "list", "--format", "json").out)
    shown = lab.here("results", "show", row["uid"]).out
    assert f"output: {output}" in shown
    assert "trace: –" in shown


TORCH = """
import hashlib
import time

import torch
from torch.utils.data import DataLoader, RandomSampler, TensorDataset

def run(context, *, epochs=6):
    data = torch.arange(64.0).view(-1, 1) / 64
    torch.manual_seed(0)
    net = torch.nn.Linear(1, 1)
    sgd = torch.optim.SGD(net.parameters(), lr=0.1, momentum=0.9)
    order = context.generator("order")
    loader = DataLoader(TensorDataset(data, 2 * data), batch_size=8, sampler=RandomSampler(data, generator=order),
                        num_workers=2, persistent_workers=True)
    done = 0
    if folder := context.resume():
        state = torch.load(folder / "state.pt", weights_only=True)
        done, drawn = state["epoch"], state["order"]
        net.load_state_dict(state["net"])
        sgd.load_state_dict(state["sgd"])
        order.set_state(drawn)
    for epoch in range(done, epochs):
        for x, y in loader:
            sgd.zero_grad()
            loss = torch.nn.functional.mse_loss(net(x), y)
            loss.backward()
            sgd.step()
        context.report(epoch, loss=float(loss.detach()))
        with context.checkpoint("state.pt") as file:
            torch.save({"epoch": epoch + 1, "net": net.state_dict(), "sgd": sgd.state_dict(),
                        "order": order.get_state()}, file)
        if (context.checkpoints.parents[2] / "slow").exists():
            time.sleep(0.1)
    bits = hashlib.sha256(b"".join(p.detach().numpy().tobytes() for p in net.parameters())).digest()
    return {"m": float(int.from_bytes(bits[:6])), "made": epochs - done}
"""


def test_a_plain_pytorch_script_killed_in_the_middle_resumes_to_the_same_bits(lab, new_lab, wait_until):
    undisturbed = new_lab()
    for each in (undisturbed, lab):
        each.own(TORCH)
    assert undisturbed.grid().code == 0
    (lab.folder / "results").mkdir()
    (lab.folder / "results" / "slow").touch()
    process = lab.start("run", "grid", "study.yml")
    wait_until(lambda: list(lab.artifacts.glob("*/checkpoint/state.pt")))
    process.kill()
    process.communicate()
    wait_until(lambda: not lab.processes(), timeout=60)
    (lab.folder / "results" / "slow").unlink()
    ended = lab.grid()
    assert ended.code == 0, ended.err
    assert "resumes" in ended.err
    assert lab.states() == ["lost", "done"]
    values = "SELECT name, value FROM result ORDER BY name"
    (_, bits), (_, made) = lab.query(values)
    assert undisturbed.query(values) == [("m", bits), ("made", 6)]
    assert 0 < made < 6
    curve = "SELECT m.step, m.value FROM metric m JOIN attempt a ON a.id = m.attempt_id WHERE a.state = 'done'"
    assert lab.query(curve) == undisturbed.query(curve)
    assert len(lab.query(curve)) == 6
