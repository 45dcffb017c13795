import gc
import os
import subprocess
import sys
import time
from contextlib import contextmanager

import pytest
from cluster_tasks import THREADS, left_behind, shared
from distributed import Client, LocalCluster

from pizzeria.cluster.line import line_of


@pytest.fixture(scope="package")
def cluster():
    """Two worker processes on the loopback, on ports that the system picks, without a dashboard."""
    with LocalCluster(
        n_workers=2,
        threads_per_worker=THREADS,
        host="127.0.0.1",
        dashboard_address="127.0.0.1:0",  # its web server; with None it would take its usual port
        scheduler_kwargs={"dashboard": False},
        silence_logs="CRITICAL",
    ) as cluster:
        yield cluster


@pytest.fixture(scope="package")
def client(cluster):
    with Client(cluster) as client:
        yield client


@pytest.fixture
def other_client(cluster):
    with Client(cluster, set_as_default=False) as other:
        yield other


@pytest.fixture
def cut_off():
    """Breaks the connection between a client and the scheduler, and returns when Dask has made a new one."""

    def cut(client):
        lost = client.scheduler_comm
        client.loop.add_callback(lost.comm.abort)
        until(lambda: client.scheduler_comm not in (None, lost) and client.status == "running")

    return cut


@pytest.fixture
def notebook_class(monkeypatch):
    """Makes a class as a notebook's cell does: it is nowhere but in this process."""

    def make(base):
        made = type("OfTheNotebook", (base,), {"__module__": "__main__"})
        monkeypatch.setattr(sys.modules["__main__"], made.__name__, made, raising=False)
        return made

    return make


@pytest.fixture
def late_worker(cluster, client):
    """A third worker, with the resource "late"; it joins where the block begins, and has left where it ends."""

    @contextmanager
    def join():
        process = start("worker", cluster.scheduler_address, "--name=late", "--resources=late=1", "--no-nanny")
        try:
            until(lambda: "late" in names())
            yield names()["late"]
        finally:
            if process.poll() is None:
                process.terminate()
            process.wait(30)
            until(lambda: "late" not in names())

    def names():
        return {worker["name"]: address for address, worker in client.scheduler_info(n_workers=-1)["workers"].items()}

    return join()


def start(role, *options):
    """A scheduler or a worker in a process of its own."""
    return subprocess.Popen(
        [sys.executable, "-m", f"distributed.cli.dask_{role}", "--no-dashboard", "--host=127.0.0.1", *options],
        env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)},
        stderr=subprocess.DEVNULL,
    )


@contextmanager
def _killed_cluster(port):
    """A scheduler at that port, and one worker; at the end of the block both are killed."""
    processes = [start("scheduler", f"--port={port}"), start("worker", f"tcp://127.0.0.1:{port}", "--no-nanny")]
    try:
        yield
    finally:
        for process in processes:
            process.kill()
            process.wait(30)


@pytest.fixture
def killed_cluster():
    return _killed_cluster


def until(condition, seconds=30):
    """Look again and again; fail when it takes longer than a busy machine could."""
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "this never came about"
        time.sleep(0.01)


@pytest.fixture(name="until")
def _until():
    return until


@pytest.fixture(autouse=True)
def two_workers(cluster, client):
    """For each test, also after one that killed a worker: its nanny starts another. But now and then, and as late as in
    the test after the next, Dask's nannies give up instead."""

    def workers():
        return len(client.scheduler_info(n_workers=-1)["workers"])

    try:
        until(lambda: workers() == 2, 10)
    except AssertionError:
        cluster.scale(0)
        until(lambda: workers() == 0)
        cluster.scale(2)
        until(lambda: workers() == 2)


@pytest.fixture(autouse=True, scope="module")
def nothing_left_behind(client):
    """After the tests of a file no worker has a subscription, and the scheduler knows no token."""
    client.sync(line_of(client).ready)  # so that there is somebody to ask
    yield
    gc.collect()  # a caught error keeps its traceback, and this the frame with the future
    # A worker may be lost while it is asked (see two_workers): then ask again.
    until(lambda: set(map(str, client.run(left_behind, on_error="return").values())) == {"([], [], [])"})
    until(lambda: client.run_on_scheduler(shared) == [])
