# ruff: noqa: E501  (some answers have long lines)
from course import Submission

_ORDER = ("order-served", "order-hang-up", "order-others", "order-fails")
_BANK = ("bank-paid", "bank-hang-up", "bank-refuses")
_WATCH = ("watch-hears", "watch-waits")
_CHARGE = "        await bank.charge(order_id, token)\n"
_REFUND = "            await bank.refund(order_id, CancellationToken.none)\n"
_POST = 'run_until_canceled(client.post(f"/charges/{order_id}"), token)'

WRONG = {
    "no reason": Submission(
        changes={"watch": [('source.cancel("the customer hung up")', "source.cancel()")]},
        loses={
            "watch-hears": "the reason: expected 'the customer hung up', but saw None",
            "token-hang-up": "the reason: expected 'the customer hung up', but saw None",
        },
    ),
    "looks for a word in the message": Submission(
        answers={
            "watch": """
async def watch(receive, source):
    while "disconnect" not in str(await receive()):
        pass
    source.cancel("the customer hung up")
"""
        },
        loses={
            "watch-waits": "it ended, though the client is still there. Only `http.disconnect` says that he is gone"
        },
    ),
    "hears every second": Submission(
        answers={
            "watch": """
async def watch(receive, source):
    while True:
        try:
            async with asyncio.timeout(1):
                message = await receive()
        except TimeoutError:
            continue
        if message["type"] == "http.disconnect":
            source.cancel("the customer hung up")
            return
"""
        },
        loses={
            "watch-hears": "the client hung up after 1 parts, and it did not end",
            "watch-waits": "how often it asked while nothing happened: expected 3",
        },
    ),
    "never awaits a message": Submission(
        answers={
            "watch": """
async def watch(receive, source):
    while receive() != "http.disconnect":
        pass
    source.cancel("the customer hung up")
""",
        },
        loses=dict.fromkeys(
            (*_WATCH, "token-live", "token-hang-up", "token-put-away"), "it blocks its thread in `watch`, at `"
        ),
        limit=0.9,
    ),
    "swallows its own end": Submission(
        answers={
            "watch": """
async def watch(receive, source):
    while True:
        try:
            message = await receive()
        except asyncio.CancelledError:
            continue
        if message["type"] == "http.disconnect":
            return source.cancel("the customer hung up")
"""
        },
        loses={"token-put-away": "`watch` was still at work, and failed: ['ObjectDisposedError']"},
    ),
    "one token for all": Submission(
        answers={
            "token": """
SOURCE = CancellationTokenSource()


async def request_token(request: Request):
    watching = asyncio.create_task(watch(request.receive, SOURCE))
    try:
        yield SOURCE.token
    finally:
        watching.cancel()
"""
        },
        loses={
            "token-live": "one customer's hang-up would stop the other",
            "token-hang-up": "is_cancellation_requested of the other customer's token: expected False, but saw True",
            "token-put-away": "the source was not put away",
        },
    ),
    "nobody watches": Submission(
        answers={
            "token": """
async def request_token(request: Request):
    with CancellationTokenSource() as source:
        yield source.token
"""
        },
        loses={
            "token-hang-up": "Does `watch` run meanwhile, as a task?",
        },
    ),
    "a watch that nobody ends": Submission(
        changes={"token": [("            watching.cancel()\n", "            pass\n")]},
        loses={"token-put-away": "Cancel it before the source is put away"},
    ),
    "not put away": Submission(
        changes={
            "token": [
                (
                    "    with CancellationTokenSource() as source:\n",
                    "    source = CancellationTokenSource()\n    if source:\n",
                )
            ]
        },
        loses={"token-put-away": "the source was not put away. A `with` block around the `yield` does it"},
    ),
    "the kitchen gets no token": Submission(
        changes={"app": [("kitchen.cook(order_id, token)", "kitchen.cook(order_id, CancellationToken.none)")]},
        loses={
            "order-hang-up": "and the kitchen went on to step 30. Does it get the request's token?",
            "order-others": "expected ['charge', 'charge', 'charge', 'refund'], but saw ['charge', 'charge', 'charge']",
        },
    ),
    "refunds with the cancelled token": Submission(
        changes={"app": [("bank.refund(order_id, CancellationToken.none)", "bank.refund(order_id, token)")]},
        loses={
            "order-hang-up": "Once, and not with a token that is cancelled",
            "order-others": "the bank's log of three orders of which one was given up",
        },
    ),
    "tells the customer that all is well": Submission(
        changes={"app": [("            raise\n", "            return {'order': order_id, 'status': 'cancelled'}\n")]},
        loses={"order-fails": "and the customer was told 200"},
    ),
    "an answer learnt by heart": Submission(
        changes={"app": [('"order": order_id', '"order": "7"')]},
        loses={
            "order-served": "the answer: expected {'order': 'no-",
            "order-others": "the answer to order",
        },
    ),
    "blocks the whole service": Submission(
        changes={"app": [(_CHARGE, "        import time\n\n        time.sleep(60)\n" + _CHARGE)]},
        loses=dict.fromkeys(_ORDER, "at `time.sleep(60)`, so that nobody else gets a turn"),
        limit=0.9,
    ),
    "the bank never hears of it": Submission(
        changes={"bank": [(_POST, 'client.post(f"/charges/{order_id}")')]},
        loses={"bank-hang-up": "it was cancelled while the bank worked, and it returned True"},
    ),
    "leaves the bank at work": Submission(
        changes={"bank": [(_POST, 'run_until_canceled(asyncio.shield(client.post(f"/charges/{order_id}")), token)')]},
        loses={"bank-hang-up": "Who stops waiting without hanging up leaves the bank at work"},
    ),
    "a refusal is taken for an answer": Submission(
        changes={"bank": [("    response.raise_for_status()\n", "")]},
        loses={"bank-refuses": "the bank answered with status 402, and it returned False"},
    ),
    "an answer that nobody waits for": Submission(
        changes={"bank": [("await " + _POST, _POST)]},
        loses={
            "bank-paid": "it raised AttributeError",
            "bank-hang-up": "and it raised AttributeError",
            "bank-refuses": "and it raised AttributeError",
        },
    ),
    "swallows the cancel": Submission(
        answers={
            "bank": """
async def ask_bank(client, order_id, token):
    try:
        response = await run_until_canceled(client.post(f"/charges/{order_id}"), token)
        response.raise_for_status()
    except Exception:
        return False
    return response.json()["paid"]
"""
        },
        loses={
            "bank-hang-up": "it was cancelled while the bank worked, and it returned False",
            "bank-refuses": "and it returned False",
        },
    ),
    "prints a gigabyte": Submission(
        changes={
            "bank": [
                ("    response = ", "    for _ in range(1_000_000):\n        print('asking ' * 143)\n    response = ")
            ]
        },
        loses=dict.fromkeys(_BANK, "it printed more than 1,000,000 characters"),
    ),
    "a lock taken twice": Submission(
        changes={
            "bank": [
                (
                    "    response = ",
                    "    import threading\n\n    lock = threading.Lock()\n    lock.acquire()\n    lock.acquire()\n    response = ",
                )
            ]
        },
        loses=dict.fromkeys(_BANK, "it blocks its thread in `ask_bank`, at `lock.acquire()`"),
        limit=0.9,
    ),
    "ends the program": Submission(
        changes={
            "bank": [
                (
                    "    response.raise",
                    "    if response.is_error:\n        raise SystemExit(response.status_code)\n    response.raise",
                )
            ]
        },
        loses={"bank-refuses": "it raised SystemExit"},
    ),
    "interrupts the program": Submission(
        changes={"watch": [("    source.cancel", "    raise KeyboardInterrupt\n    source.cancel")]},
        loses={
            "watch-hears": "it raised KeyboardInterrupt in `watch`",
            "token-hang-up": "it raised KeyboardInterrupt in `watch`",
        },
    ),
    "patches asyncio": Submission(
        changes={"bank": [("    response.raise", "    asyncio.run = None\n    response.raise")]},
        loses=dict.fromkeys(("bank-paid", "bank-refuses"), "your code replaces `asyncio.run`"),
    ),
    "a thread that nobody ends": Submission(
        changes={
            "bank": [
                (
                    "    response = ",
                    "    import threading\n\n    threading.Thread(target=threading.Event().wait).start()\n    response = ",
                )
            ]
        },
        loses=dict.fromkeys(_BANK, "leaves a thread behind"),
    ),
    "a bank whose answer nobody reads": Submission(
        changes={"bank": [('    return response.json()["paid"]', "    return True")]},
        loses={"bank-paid": "the bank's JSON said that it is not paid, and it returned True. Read the JSON"},
    ),
    "a look every half second": Submission(
        answers={
            "bank": """
async def ask_bank(client, order_id, token):
    token.throw_if_cancellation_requested()
    asking = asyncio.ensure_future(client.post(f"/charges/{order_id}"))
    while not asking.done():
        await asyncio.wait({asking}, timeout=0.5)
        if token.is_cancellation_requested:
            asking.cancel()
        token.throw_if_cancellation_requested()
    return asking.result().raise_for_status().json()["paid"]
"""
        },
        loses={"bank-hang-up": "s later. Let the cancel end the wait, without looks between"},
    ),
    "refunds what was never taken": Submission(
        changes={
            "app": [
                (_CHARGE + "        try:\n", "        try:\n    " + _CHARGE),
            ]
        },
        loses={"order-fails": "What was not taken does not go back: put `try` after the charge"},
    ),
    "refunds for some errors only": Submission(
        changes={
            "app": [
                ("except BaseException:", "except BaseException as error:"),
                (_REFUND, "            if not isinstance(error, OSError):\n    " + _REFUND),
            ]
        },
        loses={"order-fails": "when the kitchen raised OSError"},
    ),
}

RIGHT = {
    "with scopes and groups": Submission(
        answers={
            "watch": """
async def watch(receive, source):
    while True:
        match await receive():
            case {"type": "http.disconnect"}:
                source.cancel("the customer hung up")
                return
""",
            "token": """
async def request_token(request: Request):
    source = CancellationTokenSource()
    async with asyncio.TaskGroup() as group:
        watching = group.create_task(watch(request.receive, source))
        try:
            yield source.token
        finally:
            watching.cancel()
            source.dispose()
""",
            "bank": """
from cancellation import cancel_scope


async def ask_bank(client, order_id, token):
    async with cancel_scope(token):
        response = await client.post("/charges/" + order_id)
    if response.is_error:
        response.raise_for_status()
    return response.json().get("paid")
""",
        },
    ),
    "with a class and a router": Submission(
        answers={
            "token": """
class Listening:
    def __init__(self, request):
        self.source = CancellationTokenSource()
        self.watching = asyncio.ensure_future(watch(request.receive, self.source))

    async def end(self):
        self.watching.cancel()
        await asyncio.wait({self.watching})
        self.source.dispose()


async def request_token(request: Request):
    listening = Listening(request)
    try:
        yield listening.source.token
    finally:
        await listening.end()
""",
            "app": """
from fastapi import APIRouter


def make_app(kitchen, bank, token_of_request):
    routes = APIRouter()

    async def cook_or_refund(order_id, token):
        cooked = False
        try:
            await kitchen.cook(order_id, token)
            cooked = True
        finally:
            if not cooked:
                await bank.refund(order_id, CancellationToken.none)

    async def order(order_id: str, token=Depends(token_of_request)):
        await bank.charge(order_id, token)
        await cook_or_refund(order_id, token)
        return dict(order=order_id, status="delivered")

    routes.add_api_route("/orders/{order_id}", order, methods=["GET"])
    app = FastAPI()
    app.include_router(routes)
    return app
""",
            "bank": """
async def ask_bank(client, order_id, token):
    token.throw_if_cancellation_requested()
    asking = asyncio.ensure_future(client.post(f"/charges/{order_id}"))
    with token.register(asking.cancel):
        await asyncio.wait({asking})
    token.throw_if_cancellation_requested()
    return asking.result().raise_for_status().json()["paid"]
""",
        },
    ),
    "cancels, then puts away": Submission(
        answers={
            "token": """
async def request_token(request: Request):
    source = CancellationTokenSource()
    watching = asyncio.create_task(watch(request.receive, source))
    try:
        yield source.token
    finally:
        watching.cancel()
        source.cancel()
        source.dispose()
""",
        },
    ),
    "with a helper of a common name": Submission(
        answers={
            "app": """
async def order(kitchen, bank, order_id, token):
    await bank.charge(order_id, token)
    try:
        await kitchen.cook(order_id, token)
    except BaseException:
        await bank.refund(order_id, CancellationToken.none)
        raise


def make_app(kitchen, bank, token_of_request):
    app = FastAPI()

    @app.get("/orders/{order_id}")
    async def get_order(order_id: str, token: Annotated[CancellationToken, Depends(token_of_request)]):
        await order(kitchen, bank, order_id, token)
        return {"order": order_id, "status": "delivered"}

    return app
""",
            "bank": """
def begin(client, order_id):
    return client.post(f"/charges/{order_id}")


async def ask_bank(client, order_id, token):
    response = await run_until_canceled(begin(client, order_id), token)
    return response.raise_for_status().json()["paid"]
""",
        },
    ),
    "with errors of its own": Submission(
        answers={
            "watch": """
async def watch(receive, source):
    message = await receive()
    if message["type"] == "http.disconnect":
        source.cancel("the customer hung up")
    else:
        await watch(receive, source)
""",
            "app": """
from fastapi import HTTPException

from cancellation import OperationCanceledError


def make_app(kitchen, bank, token_of_request):
    app = FastAPI(title="Pizzeria")

    @app.get("/orders/{order_id}")
    async def get_order(order_id: str, token: Annotated[CancellationToken, Depends(token_of_request)]) -> dict[str, str]:
        paid = False
        try:
            await bank.charge(order_id, token)
            paid = True
            await kitchen.cook(order_id, token)
        except OperationCanceledError:
            if paid:
                await bank.refund(order_id, CancellationToken.none)
            raise HTTPException(499) from None
        except Exception as error:
            if paid:
                await bank.refund(order_id, CancellationToken.none)
            raise HTTPException(503, str(error)) from error
        return {"order": order_id, "status": "delivered"}

    return app
""",
            "bank": """
async def ask_bank(client, order_id, token):
    async def ask():
        async with client.stream("POST", f"/charges/{order_id}") as response:
            response.raise_for_status()
            await response.aread()
            return response.json()["paid"] is True

    return await run_until_canceled(ask(), token)
""",
        },
    ),
}
