import asyncio
import gc
import pickle
import socket
import sys
import types

import cluster_tasks
import pytest
from distributed import Client

from cancellation import CancellationToken, CancellationTokenSource, ObjectDisposedError, OperationCanceledError
from pizzeria.cluster import ClusterTokenSource


@pytest.fixture
def source(client):
    with ClusterTokenSource(client) as source:
        yield source


class Unpicklable(Exception):
    def __reduce__(self):
        raise TypeError("not this one")


class Speechless(Unpicklable):
    def __str__(self):
        raise RuntimeError("no words")


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


def put_away(source):
    source.dispose()


def dropped(source):
    """Only the caller had it."""


@pytest.mark.parametrize("leave", [put_away, dropped])
def test_a_task_that_waits_for_a_source_nobody_has_any_more_gets_an_error_and_does_not_wait_for_ever(
    client, tmp_path, until, leave
):
    sources = [ClusterTokenSource(client)]
    tasks = submit_waiting(client, tmp_path, 2, sources[0].token)
    until(lambda: len(list(tmp_path.iterdir())) == 2)
    leave(sources.pop())
    gc.collect()
    assert [type(task.exception(timeout=30)) for task in tasks] == [ObjectDisposedError] * 2


def test_a_token_that_is_sent_after_its_source_was_put_away_arrives_put_away(client, tmp_path):
    with ClusterTokenSource(client) as source:
        token = source.token
    task = client.submit(cluster_tasks.wait_for_cancel, tmp_path, 0, token, pure=False)
    assert isinstance(task.exception(timeout=30), ObjectDisposedError)


def test_a_token_that_was_put_away_before_its_task_began_arrives_put_away(client, tmp_path):
    gate = client.submit(cluster_tasks.hold, tmp_path, pure=False)
    with ClusterTokenSource(client) as source:
        task = client.submit(cluster_tasks.wait_for_gate, source.token, gate, pure=False)
    (tmp_path / "open").touch()
    assert isinstance(task.exception(timeout=30), ObjectDisposedError)


def test_a_callback_that_a_task_left_on_a_token_goes_with_the_source(client, until):
    with ClusterTokenSource(client) as source:
        client.submit(cluster_tasks.listen, source.token, pure=False).result()
        assert any(source.name in names for names in client.run(cluster_tasks.tokens).values())
    until(lambda: not any(source.name in names for names in client.run(cluster_tasks.tokens).values()))


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


def test_when_a_client_leaves_tasks_whose_token_another_shares_go_on(cluster, client, tmp_path, until):
    address = next(iter(client.scheduler_info(n_workers=-1)["workers"]))

    def submit_to_it(client, function, *arguments):
        return client.submit(function, *arguments, pure=False, workers=[address])

    with Client(cluster, set_as_default=False) as leaving:
        first = ClusterTokenSource(leaving)
        theirs = submit_to_it(leaving, cluster_tasks.say_when_canceled, tmp_path, first.token)
        until((tmp_path / "running").exists)
        source = ClusterTokenSource(client, first.name)
        ours = submit_to_it(client, cluster_tasks.wait_for_cancel, tmp_path, 0, source.token)
        until((tmp_path / "0").exists)
    until(lambda: leaving.id not in client.run_on_scheduler(cluster_tasks.clients))
    with ClusterTokenSource(client) as later:  # what the worker was told before, it has heard before this one's cancel
        last = submit_to_it(client, cluster_tasks.wait_for_cancel, tmp_path, 1, later.token)
        until((tmp_path / "1").exists)
        later.cancel()
        last.result(timeout=30)
    source.cancel("ours")
    assert ours.result(timeout=30)[2] == "ours"
    source.dispose()
    first.dispose()
    del theirs


def test_after_a_lost_connection_tokens_can_be_sent_and_cancelled_as_before(other_client, cut_off, tmp_path, until):
    with ClusterTokenSource(other_client) as old, ClusterTokenSource(other_client) as canceled:
        canceled.cancel("before")
        waiting = other_client.submit(cluster_tasks.say_when_canceled, tmp_path, old.token, pure=False)
        until(lambda: (tmp_path / "running").exists())
        cut_off(other_client)
        until(lambda: (tmp_path / "ConnectionError").exists())  # whoever waits is told: nobody will ask for its result
        with ClusterTokenSource(other_client) as new:
            for number, source in enumerate([old, new]):
                task = other_client.submit(cluster_tasks.wait_for_cancel, tmp_path, number, source.token, pure=False)
                until((tmp_path / str(number)).exists)
                assert source.cancel("after")
                assert task.result(timeout=30)[1:3] == (True, "after")
        with ClusterTokenSource(other_client, "x"):
            assert canceled.name in other_client.run_on_scheduler(cluster_tasks.shared)
        del waiting


def test_after_its_scheduler_was_killed_and_started_again_a_client_shares_tokens_with_the_new_one(
    killed_cluster, tmp_path, until
):
    with socket.create_server(("127.0.0.1", 0)) as unused:
        port = unused.getsockname()[1]
    with killed_cluster(port):
        client = Client(f"tcp://127.0.0.1:{port}", set_as_default=False, timeout=30)
        old = ClusterTokenSource(client)
    with killed_cluster(port), client, ClusterTokenSource(client) as new:
        for number, source in enumerate([old, new]):
            task = client.submit(cluster_tasks.wait_for_cancel, tmp_path, number, source.token, pure=False)
            until((tmp_path / str(number)).exists)
            assert source.cancel("after")
            assert task.result(timeout=30)[1:3] == (True, "after")
        assert set(client.run_on_scheduler(cluster_tasks.shared)) == {old.name, new.name}
        old.dispose()


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
    (task,) = submit_waiting(client, tmp_path, 1, source.token)
    until(lambda: (tmp_path / "0").exists())
    source.cancel(Unpicklable("why not"))
    assert task.result()[2] == "why not"


def test_a_reason_with_neither_pickle_nor_text_cancels_all_the_same(client, source, tmp_path, until):
    (task,) = submit_waiting(client, tmp_path, 1, source.token)
    until(lambda: (tmp_path / "0").exists())
    assert source.cancel(Speechless())
    assert task.result(timeout=30)[2] == "<Speechless>"


def test_a_reason_of_a_class_that_the_notebook_defines_arrives_as_itself(
    client, source, tmp_path, until, notebook_class
):
    (task,) = submit_waiting(client, tmp_path, 1, source.token)
    until(lambda: (tmp_path / "0").exists())
    source.cancel(notebook_class(TimeoutError)("too late"))
    reason = task.result(timeout=30)[2]
    assert isinstance(reason, TimeoutError)
    assert reason.args == ("too late",)


def test_a_reason_of_a_class_that_the_workers_do_not_have_arrives_as_its_text(
    client, source, tmp_path, until, monkeypatch
):
    only_here = types.ModuleType("only_here")
    only_here.Strange = type("Strange", (Exception,), {"__module__": "only_here"})
    monkeypatch.setitem(sys.modules, "only_here", only_here)
    (task,) = submit_waiting(client, tmp_path, 1, source.token)
    until(lambda: (tmp_path / "0").exists())
    source.cancel(only_here.Strange("not known there"))
    assert task.result(timeout=30)[2] == "not known there"


def test_in_a_task_a_cancelled_token_is_its_own_origin_as_at_home(client, source):
    source.cancel()
    assert source.token.origin == source.token
    assert client.submit(cluster_tasks.is_its_own_origin, source.token, pure=False).result(timeout=30)


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


@pytest.mark.parametrize("raised", [ModuleNotFoundError, Exception], ids=["by the scheduler", "by a worker"])
def test_a_cluster_without_the_packages_says_what_to_install_and_can_be_used_when_that_is_done(
    other_client, monkeypatch, raised
):
    async def lacking(_):
        raise raised("No module named 'pizzeria'")

    with monkeypatch.context() as patch:
        patch.setattr(other_client, "run_on_scheduler", lacking)
        with pytest.raises(RuntimeError, match=r"No module named 'pizzeria'\. Install this course's packages on"):
            ClusterTokenSource(other_client)
    with ClusterTokenSource(other_client) as source:
        assert source.cancel()


@pytest.mark.parametrize("used_before", [True, False])
def test_a_closed_client_is_refused_with_what_to_do(cluster, used_before):
    with Client(cluster, set_as_default=False) as closed:
        if used_before:
            ClusterTokenSource(closed).dispose()
    with pytest.raises(ConnectionError, match=r"the client is closed: .* Make a new Client"):
        ClusterTokenSource(closed)


def test_a_name_that_is_no_text_is_refused(client):
    with pytest.raises(TypeError, match="name must be text, or None for a new one, not 5"):
        ClusterTokenSource(client, 5)


@pytest.mark.parametrize("pure", [True, False])
def test_a_source_that_is_sent_in_place_of_its_token_says_what_to_send(client, source, pure):
    with pytest.raises(TypeError) as raised:
        client.submit(cluster_tasks.raise_canceled, source, pure=pure)
    assert "Pass its token on: source.token" in str(raised.value.__cause__)


def test_what_is_no_client_is_refused():
    with pytest.raises(TypeError, match=r"client must be a distributed\.Client, not 'scheduler'"):
        ClusterTokenSource("scheduler")


def test_the_constant_tokens_travel_and_an_ordinary_one_says_what_to_use_instead():
    assert pickle.loads(pickle.dumps(CancellationToken.none)) is CancellationToken.none
    canceled = CancellationToken(canceled=True)
    assert pickle.loads(pickle.dumps(canceled)) is canceled
    with pytest.raises(TypeError, match=r"Take one from a pizzeria\.cluster\.ClusterTokenSource"):
        pickle.dumps(CancellationTokenSource().token)
