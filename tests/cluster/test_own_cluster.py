import subprocess
import sys
import threading

import psutil
from distributed import Client

from pizzeria.cluster import OwnCluster


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
