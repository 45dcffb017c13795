NEVER_TWICE = """
def answer_to_delete(status):
    if status is None:
        return 404
    return 409 if status in ("handed over", "completed", "cancelled", "failed") else 200
"""
FORGETS_THE_HANDOVER = """
def answer_to_delete(status):
    if status is None:
        return 404
    return 409 if status == "completed" else 200
"""
ALWAYS_FOUND = """
def answer_to_delete(status):
    return 409 if status in ("handed over", "completed", "failed") else 200
"""

LOOKS_BEFORE = """
async def forward(client, address, token):
    token.throw_if_cancellation_requested()
    return (await client.get(address)).json()
"""
WALKS_AWAY = """
calls = set()

async def forward(client, address, token):
    call = asyncio.create_task(client.get(address))
    calls.add(call)
    call.add_done_callback(lambda call: call.cancelled() or call.exception())
    bell = asyncio.create_task(token.wait_async())
    await asyncio.wait({call, bell}, return_when=asyncio.FIRST_COMPLETED)
    bell.cancel()
    token.throw_if_cancellation_requested()
    return (await call).json()
"""
SWALLOWS = """
from cancellation import OperationCanceledError, run_until_canceled

async def forward(client, address, token):
    try:
        return (await run_until_canceled(client.get(address), token)).json()
    except OperationCanceledError:
        return None
"""
GIVES_THE_ANSWER_RAW = """
from cancellation import run_until_canceled

async def forward(client, address, token):
    return await run_until_canceled(client.get(address), token)
"""

WRONG_ANSWERS = {
    "09_services-1": [
        (NEVER_TWICE, "To cancel again is no error"),
        (FORGETS_THE_HANDOVER, "for the status 'handed over' it should return 409, but returned 200"),
        (ALWAYS_FOUND, "for the status None it should return 404, but returned 200"),
    ],
    "09_services-2": [
        (LOOKS_BEFORE, "it went on waiting for the kitchen"),
        (WALKS_AWAY, "but the call to the kitchen goes on"),
        (SWALLOWS, "it returned None, not an OperationCanceledError"),
        (GIVES_THE_ANSWER_RAW, "it should return that, but it returned <Response"),
    ],
}
