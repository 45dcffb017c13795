FORGETS_REFUNDS = """
def to_pay_back(receipts):
    return sum(receipt.charged for receipt in receipts if receipt.cancel_requested)
"""
PAYS_EVERYBODY = """
def to_pay_back(receipts):
    return sum(receipt.kept for receipt in receipts)
"""
COUNTS_CUSTOMERS = """
def to_pay_back(receipts):
    return sum(receipt.cancel_requested for receipt in receipts)
"""
ANSWERS_FOR_ONE = """
def to_pay_back(receipts):
    return receipts[0].kept if receipts[0].cancel_requested else 0
"""

FAILS_WITHOUT_A_CANCEL = """
def steps_for_nothing(events):
    names = [type(event).__name__ for event in events]
    return names[names.index("CancelRequested"):].count("Step")
"""
COUNTS_EVERY_EVENT = """
def steps_for_nothing(events):
    names = [type(event).__name__ for event in events]
    return len(names[names.index("CancelRequested") + 1:])
"""
COUNTS_THOSE_BEFORE = """
def steps_for_nothing(events):
    names = [type(event).__name__ for event in events]
    if "CancelRequested" not in names:
        return 0
    return names[:names.index("CancelRequested")].count("Step")
"""

DOES_NOT_WAIT = """
async def listens(shop):
    counter = OrderCounter(shop)
    counter.place.click()
    await asyncio.sleep(0.05)
    counter.cancel.click()
    return counter.orders[0].receipt.kept == 0
"""
ASKS_WHETHER_IT_ARRIVED = """
async def listens(shop):
    counter = OrderCounter(shop)
    counter.place.click()
    await asyncio.sleep(0.05)
    counter.cancel.click()
    return (await counter.finished())[-1].cancel_requested
"""
CANCELS_TOO_LATE = """
async def listens(shop):
    counter = OrderCounter(shop)
    counter.place.click()
    await counter.finished()
    counter.cancel.click()
    return (await counter.finished())[-1].kept == 0
"""
NEVER_ORDERS = """
async def listens(shop):
    counter = OrderCounter(shop)
    counter.cancel.click()
    return (await counter.finished())[-1].kept == 0
"""

WRONG_ANSWERS = {
    "01_without_a_token-1": [
        (FORGETS_REFUNDS, "another has his money back, it should return 1150, but returned 2000"),
        (PAYS_EVERYBODY, "has a pizza for the money, it should return 0, but returned 950"),
        (COUNTS_CUSTOMERS, "it should return 1150, but returned 1"),
        (ANSWERS_FOR_ONE, "it should return 2300"),
    ],
    "01_without_a_token-2": [
        (FAILS_WITHOUT_A_CANCEL, "with five steps and no cancel, it raised ValueError"),
        (COUNTS_EVERY_EVENT, "it should return 3, but returned 5"),
        (COUNTS_THOSE_BEFORE, "it should return 3, but returned 2"),
    ],
    "01_without_a_token-3": [
        (DOES_NOT_WAIT, "with a shop that does not listen, it should return False, but returned True. Its order"),
        (ASKS_WHETHER_IT_ARRIVED, "returned True. Its order was charged, cooked and sent all the same"),
        (CANCELS_TOO_LATE, "cancel earlier"),
        (NEVER_ORDERS, "with a shop that listens, it raised IndexError"),
    ],
}
