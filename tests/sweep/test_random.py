"""A hundred runs under a hail of SIGKILLs: on drivers, forkservers and runs."""

import contextlib
import random
import time

import psutil
from sweep_tools import assert_whole, descendants, start, wait_for, write

from mdlib import sweep

RUNS = 100
SEED = 20
KILLS = 24  # of which a few hit the driver


def test_a_hundred_runs_survive_random_kills(tmp_path):
    rates = ", ".join(str(n) for n in range(RUNS // 2))
    path = write(tmp_path / "book", f"grid:\n  rate: [{rates}]\nseeds: 2\nretries: 100\n")
    out, dice = tmp_path / "out", random.Random(SEED)
    driver, drivers, killed = start(path, out, "--workers", 3), 1, []
    for kill in range(KILLS):
        time.sleep(dice.uniform(0.1, 0.9))
        there = wait_for(lambda d=driver: descendants(d) or d.poll() is not None, 200)
        if there is True:  # it had nothing more to do
            break
        victims = [driver] if kill % 6 == 5 else there
        victim = dice.choice(victims)
        with contextlib.suppress(psutil.NoSuchProcess):
            victim.kill()
            killed.append(victim.pid)
        if driver in victims:
            driver.communicate()
            driver, drivers = start(path, out, "--workers", 3), drivers + 1
    _, said = driver.communicate(timeout=400)
    assert driver.returncode == 0, said
    assert len(killed) > KILLS // 2
    assert drivers > 1
    assert set(sweep.states(sweep.load(path), out).values()) == {"done"}
    frame = assert_whole(path, out)
    assert len(frame) == RUNS
    assert frame["run"].nunique() == RUNS
