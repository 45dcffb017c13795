"""The connection between a client and its scheduler is lost while the workers talk."""

import asyncio

import pytest

from pizzeria.cluster.switchboard import OP, Switchboard, plugin_name


class Scheduler:
    """As much of Dask's as a switchboard uses."""

    def __init__(self):
        self.workers, self.worker_plugins = {"worker": None}, {}
        self.stream_handlers, self.to_clients = {}, []

    def add_plugin(self, plugin, name):
        pass

    async def unregister_worker_plugin(self, _, name):
        if self.worker_plugins.pop(name, None) is None:
            raise ValueError(name)

    def client_send(self, client, message):
        self.to_clients.append(message["channel"])

    def worker_send(self, worker, message):
        pass


@pytest.mark.parametrize(
    "noticed",
    [["remove_client"], ["remove_client", "add_client"], ["add_client"], ["add_client", "remove_client"]],
    ids=" ".join,
)
def test_what_workers_said_to_a_lost_connection_does_not_reach_the_new_one_whichever_is_noticed_first(noticed):
    async def main():
        scheduler = Scheduler()
        switchboard = Switchboard(scheduler)
        old, new, others = plugin_name("me", "old"), plugin_name("me", "new"), plugin_name("another", "old")
        scheduler.worker_plugins = dict.fromkeys([old, others])

        def say(*channels):
            for channel in channels:
                scheduler.stream_handlers[OP](worker="worker", to="me", channel=channel, data=b"")

        say(old)
        for notice in noticed:
            getattr(switchboard, notice)(scheduler, "me")
            say(old, others)  # at once,
        await asyncio.sleep(0)
        say(old)  # and when all is tidied up
        assert list(scheduler.worker_plugins) == [others]
        scheduler.worker_plugins[new] = None
        say(new)
        assert scheduler.to_clients == [old, *[others] * len(noticed), new]

    asyncio.run(main())
