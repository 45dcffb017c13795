"""A cluster on this machine, for lessons and trials: a scheduler and worker processes, on the loopback only."""

from __future__ import annotations

import subprocess
import sys
import tempfile
from typing import Any, Self

from distributed import LocalCluster


class OwnCluster:
    """Starts Dask's `LocalCluster` in a process of its own, on ports that the system picks; `close` it, or use `with`.

    It ends when this process does, however that happens, and leaves no thread, port or process here. `workers`: how
    many processes. `orders_at_once`: of each worker, in Dask's words its threads. `TypeError` or `ValueError` for a
    number that makes no cluster; `RuntimeError` if it does not start.
    """

    def __init__(self, workers: int = 2, orders_at_once: int = 1000) -> None:
        for name, number in {"workers": workers, "orders_at_once": orders_at_once}.items():
            if not isinstance(number, int) or isinstance(number, bool):
                raise TypeError(f"{name} must be a whole number, not {number!r}")
            if number < 1:
                raise ValueError(f"{name} must be at least 1, not {number}")
        # What Dask logs; among a notebook's outputs it would be in the way.
        self._log = tempfile.TemporaryFile("w+", encoding="utf-8")  # noqa: SIM115  (closed with the cluster)
        self._process = subprocess.Popen(
            [sys.executable, "-c", f"from {__name__} import serve; serve({workers}, {orders_at_once})"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self._log,
            text=True,
            start_new_session=True,  # an interrupt of the notebook's kernel is not meant for it
        )
        assert self._process.stdout is not None
        answer = self._process.stdout.readline().split()
        if len(answer) != 2:
            self._process.communicate()
            self._log.seek(0)
            with self._log:
                raise RuntimeError(f"the cluster did not start. It said: {self._log.read()}")
        self.address, self.dashboard_link = answer

    def close(self) -> None:
        """Returns when scheduler and workers have ended. Closing twice is harmless."""
        with self._process as process:  # closes its stdin: for that it waits
            assert process.stdin is not None
            process.stdin.close()
        self._log.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def __repr__(self) -> str:
        return f"<OwnCluster {'closed' if self._process.returncode is not None else 'running'}>"


def serve(workers: int, orders_at_once: int) -> None:
    """Run a cluster until stdin is closed, as it is when the process at its other end dies."""
    start: Any = LocalCluster  # distributed has types for half of it
    with start(
        n_workers=workers, threads_per_worker=orders_at_once, host="127.0.0.1", dashboard_address="127.0.0.1:0"
    ) as cluster:
        print(cluster.scheduler_address, cluster.dashboard_link, flush=True)
        sys.stdin.read()
