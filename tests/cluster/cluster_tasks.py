"""What the workers run in these tests. It imports little, as each worker imports it."""

import gc
import os
import pickle
import time

from cancellation import OperationCanceledError
from pizzeria.cluster import travel
from pizzeria.cluster.branch import Branch

THREADS = 250  # so many orders at once, on each of two workers


def touch(directory, name):
    (directory / str(name)).touch()


def wait_for_cancel(directory, number, token):
    """Block a worker's thread until the cancel; the process it was, the reason, and which token."""
    touch(directory, number)
    token.wait(60)
    return os.getpid(), token.is_cancellation_requested, token.reason, id(token)


def run_nothing_if_canceled(token, directory, _gate=None):
    token.throw_if_cancellation_requested()
    touch(directory, "ran")


def hold(directory):
    """Block until somebody makes the file "open"."""
    touch(directory, "held")
    while not (directory / "open").exists():
        time.sleep(0.01)


def wait_for_gate(token, _gate):
    token.wait(60)


def say_when_canceled(directory, token):
    """For a task whose result nobody can fetch."""
    touch(directory, "running")
    token.wait(60)
    touch(directory, type(token.reason).__name__)


def wait_with_bad_callback(directory, token):
    def fail():
        raise ZeroDivisionError("a callback that fails")

    token.register(fail)
    touch(directory, "running")
    token.wait(60)
    return token.is_cancellation_requested


def listen(token):
    token.register(print)


def is_its_own_origin(token):
    return token.origin == token


def raise_canceled(token):
    raise OperationCanceledError(None, token)


def left_behind():
    """Of a worker process: tokens in use, cancels remembered, channels open."""
    gc.collect()  # Dask's errors keep their tracebacks, and these the frames with the tokens
    return travel.arrived(), travel.remembered(), list(_receiver().channels)


def number_of_tokens():
    return len(travel.arrived())


def tokens():
    return travel.arrived()


def remembered():
    return travel.remembered()


def _receiver():
    from distributed import Worker

    (worker,) = Worker._instances
    return worker.plugins["cancellation"]


def close(dask_worker):
    """Without a word to the scheduler before."""
    dask_worker.loop.add_callback(dask_worker.close)


def set_pace(dask_worker, pace):
    """Of every branch."""
    for plugin in dask_worker.plugins.values():
        if isinstance(plugin, Branch):
            plugin._shop.pace = pace


def close_desk(dask_worker, branch):
    """As it is closed where the client has gone."""
    dask_worker.plugins[branch]._desk.hear(None)


def shared(dask_scheduler):
    """The names of the tokens that the scheduler knows."""
    return dask_scheduler.extensions["cancellation"].shared()


def clients(dask_scheduler):
    """The ids of those who are connected."""
    return list(dask_scheduler.clients)


def arrives_as(pickled):
    return repr(pickle.loads(pickled))
