import os
import subprocess
import sys
import threading

import cluster_tasks
import psutil
import pytest
from distributed import Client

from cancellation import OperationCanceledError
from pizzeria.cluster import ClusterTokenSource, OwnCluster


def test_it_serves_and_leaves_no_thread_port_or_process(until):
    before = {thread.name for thread in threading.enumerate()}
    with OwnCluster(workers=1, orders_at_once=3) as cluster:
        with Client(cluster.address, set_as_default=False) as client:
            assert client.submit(sum, [1, 2], pure=False).result() == 3
            assert client.nthreads().popitem()[1] == 3
        own = psutil.Process(cluster._process.pid)
        family = [own, *own.children(recursive=True)]
        assert len(family) > 1
        listening = [connection for process in family for connection in process.net_connections(kind="inet")]
        assert {connection.laddr.ip for connection in listening} == {"127.0.0.1"}
    cluster.close()
    until(lambda: not any(process.is_running() and process.status() != "zombie" for process in family))
    assert {thread.name for thread in threading.enumerate()} <= before


def test_it_ends_when_the_process_that_started_it_is_killed(until):
    script = """
import os, signal
from pizzeria.cluster import OwnCluster
cluster = OwnCluster(workers=1)
print(cluster._process.pid, flush=True)
os.kill(os.getpid(), signal.SIGKILL)
"""
    pid = int(subprocess.run([sys.executable, "-c", script], stdout=subprocess.PIPE, text=True, check=False).stdout)
    until(lambda: not psutil.pid_exists(pid) or psutil.Process(pid).status() == "zombie")


def test_one_that_does_not_start_says_why(tmp_path, monkeypatch):
    (tmp_path / "distributed.py").write_text("raise OSError('no port is free')")
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    with pytest.raises(RuntimeError, match=r"(?s)did not start. It said: .*no port is free"):
        OwnCluster(workers=1)


@pytest.mark.parametrize(
    ("numbers", "error", "words"),
    [
        ({"workers": "2"}, TypeError, "workers must be a whole number, not '2'"),
        ({"workers": True}, TypeError, "workers must be a whole number, not True"),
        ({"workers": 0}, ValueError, "workers must be at least 1, not 0"),
        ({"orders_at_once": -1}, ValueError, "orders_at_once must be at least 1, not -1"),
    ],
)
def test_numbers_that_make_no_cluster_are_refused(numbers, error, words):
    with pytest.raises(error, match=words):
        OwnCluster(**numbers).close()


def test_a_token_put_away_after_its_cancel_runs_nothing_of_what_waits_on_a_scheduler_elsewhere(
    tmp_path, until, monkeypatch
):
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join(sys.path))  # its processes import this folder, too
    with OwnCluster(workers=1) as cluster, Client(cluster.address, set_as_default=False) as client:
        source = ClusterTokenSource(client)
        gate = client.submit(cluster_tasks.hold, tmp_path, pure=False)
        task = client.submit(cluster_tasks.run_nothing_if_canceled, source.token, tmp_path, gate, pure=False)
        until(lambda: (tmp_path / "held").exists())
        source.cancel()
        source.dispose()
        until(lambda: source.name not in client.run_on_scheduler(cluster_tasks.shared))
        (tmp_path / "open").touch()
        assert isinstance(task.exception(), OperationCanceledError)
        assert not (tmp_path / "ran").exists()
