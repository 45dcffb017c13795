import asyncio
import gc
import pickle

import cluster_tasks
import pytest
from distributed import Client

from cancellation import CancellationToken, CancellationTokenSource, ObjectDisposedError, OperationCanceledError
from pizzeria.cluster import ClusterTokenSource


@pytest.fixture
def source(client):
    with ClusterTokenSource(client) as source:
        yield source


def submit_waiting(client, directory, number, token):
    """So many tasks that wait for the token, half of them on each worker."""
    addresses = list(client.scheduler_info(n_workers=-1)["workers"])
    return [
        client.submit(
            cluster_tasks.wait_for_cancel, directory, n, token, pure=False, workers=[addresses[n % len(addresses)]]
        )
        for n in range(number)
    ]


def test_a_cancel_stops_the_tasks_that_run_on_all_workers(client, source, tmp_path, until):
    tasks = submit_waiting(client, tmp_path, 10, source.token)
    until(lambda: len(list(tmp_path.iterdir())) == 10)
    assert source.cancel("closing time")
    results = client.gather(tasks)
    assert len({pid for pid, *_ in results}) == 2
    assert {(canceled, reason) for _, canceled, reason, _ in results} == {(True, "closing time")}


def test_tasks_of_one_worker_share_one_token_and_let_go_of_it_with_their_futures(client, source, tmp_path, until):
    tasks = submit_waiting(client, tmp_path, 40, source.token)
    until(lambda: len(list(tmp_path.iterdir())) == 40)
    assert list(client.run(cluster_tasks.number_of_tokens).values()) == [1, 1]
    source.cancel()
    assert len({(pid, token) for pid, *_, token in client.gather(tasks)}) == 2
    tasks.clear()  # Dask keeps the arguments of a task for as long as somebody holds its future
    until(lambda: list(client.run(cluster_tasks.number_of_tokens).values()) == [0, 0])


def test_another_client_can_cancel_and_the_first_one_hears_of_it(client, other_client, source, tmp_path, until):
    tasks = submit_waiting(client, tmp_path, 2, source.token)
    until(lambda: len(list(tmp_path.iterdir())) == 2)
    with ClusterTokenSource(other_client, source.name) as button:
        assert button.cancel("the manager")
        assert [reason for _, _, reason, _ in client.gather(tasks)] == ["the manager"] * 2
        assert source.token.wait(30)
        assert source.token.reason == "the manager"
    assert not source.cancel("too late")


def test_a_source_made_after_the_cancel_hears_of_it(other_client, source):
    source.cancel("early")
    with ClusterTokenSource(other_client, source.name) as late:
        assert late.token.wait(30)
        assert late.token.reason == "early"


def test_a_token_cancelled_before_submission_runs_nothing(client, source, tmp_path):
    source.cancel("changed my mind")
    task = client.submit(cluster_tasks.run_nothing_if_canceled, source.token, tmp_path, pure=False)
    error = task.exception()
    assert isinstance(error, OperationCanceledError)
    assert error.reason == "changed my mind"
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("put_away", [False, True], ids=["source kept", "source put away"])
def test_a_token_cancelled_while_its_task_waits_on_the_scheduler_runs_nothing(client, tmp_path, until, put_away):
    source = ClusterTokenSource(client)
    gate = client.submit(cluster_tasks.hold, tmp_path, pure=False)
    task = client.submit(cluster_tasks.run_nothing_if_canceled, source.token, tmp_path, gate, pure=False)
    until(lambda: (tmp_path / "held").exists())
    source.cancel()
    if put_away:
        source.dispose()
        until(lambda: source.name not in client.run_on_scheduler(cluster_tasks.shared))
    (tmp_path / "open").touch()
    assert isinstance(task.exception(), OperationCanceledError)
    assert not (tmp_path / "ran").exists()
    source.dispose()


def test_a_worker_that_joins_later_hears_of_cancels(client, source, tmp_path, until, late_worker):
    late = {"late": 1}  # only that worker has it
    early = client.submit(cluster_tasks.run_nothing_if_canceled, source.token, tmp_path, pure=False, resources=late)
    source.cancel()
    with late_worker as address, ClusterTokenSource(client) as second:
        assert isinstance(early.exception(), OperationCanceledError)
        (remembered,) = client.run(cluster_tasks.remembered, workers=[address]).values()
        assert remembered == [source.name]
        running = client.submit(cluster_tasks.wait_for_cancel, tmp_path, 0, second.token, pure=False, resources=late)
        until(lambda: (tmp_path / "0").exists())
        second.cancel("second")
        assert running.result()[1:3] == (True, "second")


def test_a_token_that_was_on_its_way_when_it_was_cancelled_arrives_cancelled(client, source, until):
    on_its_way = pickle.dumps(source.token)
    source.cancel("meanwhile")
    until(lambda: all(source.name in names for names in client.run(cluster_tasks.remembered).values()))
    arrived = client.run(cluster_tasks.arrives_as, on_its_way)
    assert set(arrived.values()) == {"<CancellationToken canceled: 'meanwhile'>"}


def test_when_a_client_leaves_its_tasks_are_cancelled(cluster, tmp_path, until):
    with Client(cluster, set_as_default=False) as leaving:
        source = ClusterTokenSource(leaving)
        task = leaving.submit(cluster_tasks.say_when_canceled, tmp_path, source.token, pure=False)
        until(lambda: (tmp_path / "running").exists())
    until(lambda: (tmp_path / "ConnectionError").exists())
    assert source.cancel("here it still works")
    source.dispose()
    del task


def test_a_failing_callback_harms_neither_the_worker_nor_the_next_cancel(client, source, tmp_path, until):
    address = next(iter(client.scheduler_info(n_workers=-1)["workers"]))
    task = client.submit(cluster_tasks.wait_with_bad_callback, tmp_path, source.token, pure=False, workers=[address])
    until(lambda: (tmp_path / "running").exists())
    source.cancel()
    assert task.result()
    with ClusterTokenSource(client) as second:
        again = client.submit(cluster_tasks.wait_for_cancel, tmp_path, 1, second.token, pure=False, workers=[address])
        until(lambda: (tmp_path / "1").exists())
        second.cancel()
        assert again.result()[1]


def test_a_reason_that_cannot_be_pickled_arrives_as_its_text(client, source, tmp_path, until):
    class Local(Exception):
        pass

    (task,) = submit_waiting(client, tmp_path, 1, source.token)
    until(lambda: (tmp_path / "0").exists())
    source.cancel(Local("why not"))
    assert task.result()[2] == "why not"


def test_an_error_that_a_task_raises_with_the_token_says_why(client, source):
    source.cancel(TimeoutError("too long"))
    error = client.submit(cluster_tasks.raise_canceled, source.token, pure=False).exception()
    assert isinstance(error.reason, TimeoutError)
    assert error.token.is_cancellation_requested


def test_an_asynchronous_client_shares_tokens_as_well(cluster, tmp_path, until):
    async def main():
        async with Client(cluster.scheduler_address, asynchronous=True, set_as_default=False) as client:
            with ClusterTokenSource(client) as source:
                task = client.submit(cluster_tasks.wait_for_cancel, tmp_path, 0, source.token, pure=False)
                await asyncio.to_thread(until, (tmp_path / "0").exists)
                source.cancel("async")
                return await task

    assert asyncio.run(main())[1:3] == (True, "async")


def test_ten_thousand_sources_that_were_never_cancelled_leave_nothing(client):
    for _ in range(10_000):
        ClusterTokenSource(client).dispose()
    forgotten = ClusterTokenSource(client)
    del forgotten
    gc.collect()


def test_a_name_that_is_put_away_and_taken_again_at_once_can_be_cancelled(client, source, other_client):
    with ClusterTokenSource(other_client, source.name):
        pass
    with ClusterTokenSource(other_client, source.name) as button:
        button.cancel()
        assert source.token.wait(30)


def test_only_the_first_cancel_counts(source):
    heard = []
    source.token.register(lambda: heard.append(source.cancel("again")))
    assert [source.cancel("first"), source.cancel("second")] == [True, False]
    assert heard == [False]
    assert source.token.reason == "first"
    assert source.is_cancellation_requested


def test_a_source_that_was_put_away_refuses_and_its_token_still_says_what_it_was(client):
    with ClusterTokenSource(client) as source:
        token = source.token
        source.cancel("done")
    with pytest.raises(ObjectDisposedError):
        source.cancel()
    assert token.is_cancellation_requested


def test_a_client_has_one_source_a_name(client, source):
    with pytest.raises(ValueError, match=f"has a source named '{source.name}' already"):
        ClusterTokenSource(client, source.name)
    assert not source.is_cancellation_requested


def test_what_is_no_client_is_refused():
    with pytest.raises(TypeError, match=r"client must be a distributed\.Client, not 'scheduler'"):
        ClusterTokenSource("scheduler")


def test_the_constant_tokens_travel_and_an_ordinary_one_says_what_to_use_instead():
    assert pickle.loads(pickle.dumps(CancellationToken.none)) is CancellationToken.none
    canceled = CancellationToken(canceled=True)
    assert pickle.loads(pickle.dumps(canceled)) is canceled
    with pytest.raises(TypeError, match=r"Take one from a pizzeria\.cluster\.ClusterTokenSource"):
        pickle.dumps(CancellationTokenSource().token)
