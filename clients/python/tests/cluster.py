"""What the tests know of the brokers that they run against: the environment says it (e2e/python_test.go)."""

from __future__ import annotations

import os
import signal
import time
import unittest
from typing import List, Tuple


def brokers() -> List[Tuple[str, int]]:
    """The addresses of the brokers, and the processes that they are."""
    text = os.environ.get("UCP_TEST_BROKERS", "")
    if not text:
        raise unittest.SkipTest("UCP_TEST_BROKERS names no brokers, such as 127.0.0.1:8000=4711,127.0.0.1:8001=4712")
    return [(address, int(pid)) for address, _, pid in (one.partition("=") for one in text.split(","))]


def addresses() -> List[str]:
    """The addresses alone."""
    return [address for address, _ in brokers()]


def stop(pid: int) -> None:
    """Lets a broker stand still: its connections stay, and it says nothing."""
    os.kill(pid, signal.SIGSTOP)
    deadline = time.monotonic() + 10
    while not _stands_still(pid) and time.monotonic() < deadline:
        time.sleep(0.01)  # on a busy machine a thread of it may answer yet


def _stands_still(pid: int) -> bool:
    """Whether all threads of a process were stopped."""
    tasks = "/proc/%d/task" % pid
    if not os.path.isdir(tasks):
        time.sleep(1)  # there is nothing to ask
        return True
    for task in os.listdir(tasks):
        try:
            with open(os.path.join(tasks, task, "stat")) as f:
                if f.read().rpartition(")")[2].split()[0] not in "Tt":
                    return False
        except FileNotFoundError:
            pass  # it has ended
    return True


def go_on(pid: int) -> None:
    """Lets it go on."""
    os.kill(pid, signal.SIGCONT)


def kill(pid: int) -> None:
    """Kills a broker without a warning."""
    os.kill(pid, signal.SIGKILL)
