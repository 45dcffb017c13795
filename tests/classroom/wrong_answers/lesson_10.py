WAITS = """
def bake_all(client, bake, loaves, token):
    return [client.submit(bake, loaf, token).result() for loaf in loaves]
"""
FORGETS_THE_TOKEN = """
def bake_all(client, bake, loaves, token):
    return client.map(bake, loaves)
"""
ONE_TASK = """
def bake_all(client, bake, loaves, token):
    return [client.submit(bake, loaves, token)]
"""
WRAPS_IT = """
def bake_all(client, bake, loaves, token):
    return [client.submit(lambda loaf=loaf: bake(loaf, token)) for loaf in loaves]
"""
RETURNS_NOTHING = """
def bake_all(client, bake, loaves, token):
    for loaf in loaves:
        client.submit(bake, loaf, token)
"""

DOES_NOT_WAIT = """
def stop_all(source, futures):
    source.cancel()
    return 2
"""
COUNTS_ALL = """
def stop_all(source, futures):
    source.cancel()
    for future in futures:
        future.exception()
    return len(futures)
"""
RAISES = """
def stop_all(source, futures):
    source.cancel()
    return len([future.result() for future in futures])
"""
WAITS_WITH_DASK = """
from distributed import wait

def stop_all(source, futures):
    source.cancel()
    wait(futures)
    return sum(isinstance(future.exception(), OperationCanceledError) for future in futures)
"""
ASKS_FOR_THE_STATUS = """
def stop_all(source, futures):
    source.cancel()
    return sum(future.status == "cancelled" for future in futures)
"""
COUNTS_ERRORS = """
def stop_all(source, futures):
    source.cancel()
    return sum(future.exception() is not None for future in futures)
"""

CATCHES = """
from pizzeria import LedgerError

def charge(ledger, order):
    try:
        ledger.authorize(order.id, order.cents)
        ledger.capture(order.id)
    except LedgerError:
        pass
"""
NEW_ID = """
from uuid import uuid4

def charge(ledger, order):
    order_id = uuid4().hex
    ledger.authorize(order_id, order.cents)
    ledger.capture(order_id)
"""
LOOKS_ONCE = """
def charge(ledger, order):
    if not ledger.entries(order.id):
        ledger.authorize(order.id, order.cents)
        ledger.capture(order.id)
"""

WRONG_ANSWERS = {
    "10_cluster-1": [
        (WAITS, "it waited for the result"),
        (FORGETS_THE_TOKEN, "the tasks got no token"),
        (ONE_TASK, "Tasks handed in: 1; of `bake` itself: 1."),
        (WRAPS_IT, "Tasks handed in: 3; of `bake` itself: 0. A lambda around it is another function"),
        (RETURNS_NOTHING, "it returned None"),
    ],
    "10_cluster-2": [
        (DOES_NOT_WAIT, "it came back while tasks were still cleaning up"),
        (COUNTS_ALL, "it returned 4"),
        (RAISES, "where `result()` raises it"),
        (WAITS_WITH_DASK, "The futures of this check are not Dask's own. Use `exception()`"),
        (ASKS_FOR_THE_STATUS, "The futures of this check are not Dask's own. Use `exception()`"),
        (COUNTS_ERRORS, "it returned 3"),
    ],
    "10_cluster-3": [
        (CATCHES, "dies after authorize and it is called again, 0 cents were charged"),
        (NEW_ID, "two orders in the ledger"),
        (LOOKS_ONCE, "0 cents were charged"),
    ],
}
