LOOKS_FOR_A_CAPTURE = """
def due(steps):
    if not steps:
        return None
    return "refund" if "capture" in steps else "void"
"""
FORGETS_THE_EMPTY = """
def due(steps):
    return {"authorize": "void", "capture": "refund"}.get(steps[-1])
"""
ALWAYS_REFUNDS = """
def due(steps):
    return "refund"
"""

UNDOES_WITH_THE_ORDERS_TOKEN = """
async def pay_and_cook(bank, cook, token):
    await bank.authorize(token)
    try:
        await bank.capture(token)
        return await cook(token)
    except BaseException:
        await bank.undo(token)
        raise
"""
ONLY_FOR_CANCELS = """
async def pay_and_cook(bank, cook, token):
    await bank.authorize(token)
    try:
        await bank.capture(token)
        return await cook(token)
    except OperationCanceledError:
        await bank.undo(CancellationToken.none)
        raise
"""
NOT_FOR_TASKS = """
async def pay_and_cook(bank, cook, token):
    await bank.authorize(token)
    try:
        await bank.capture(token)
        return await cook(token)
    except Exception:
        await bank.undo(CancellationToken.none)
        raise
"""
TRIES_TOO_LATE = """
async def pay_and_cook(bank, cook, token):
    await bank.authorize(token)
    await bank.capture(token)
    try:
        return await cook(token)
    except BaseException:
        await bank.undo(CancellationToken.none)
        raise
"""
TRIES_TOO_EARLY = """
async def pay_and_cook(bank, cook, token):
    try:
        await bank.authorize(token)
        await bank.capture(token)
        return await cook(token)
    except BaseException:
        await bank.undo(CancellationToken.none)
        raise
"""
ALWAYS_UNDOES = """
async def pay_and_cook(bank, cook, token):
    await bank.authorize(token)
    try:
        await bank.capture(token)
        return await cook(token)
    finally:
        await bank.undo(CancellationToken.none)
"""
SWALLOWS = """
async def pay_and_cook(bank, cook, token):
    await bank.authorize(token)
    try:
        await bank.capture(token)
        return await cook(token)
    except BaseException:
        await bank.undo(CancellationToken.none)
"""

ONLY_LOOKS_BEFORE = """
def first_row(connection, question, token):
    token.throw_if_cancellation_requested()
    return connection.execute(question).fetchone()
"""
DOES_NOT_TRANSLATE = """
def first_row(connection, question, token):
    with token.register(connection.interrupt):
        return connection.execute(question).fetchone()
"""
KEEPS_ITS_CALLBACK = """
def first_row(connection, question, token):
    token.register(connection.interrupt)
    try:
        return connection.execute(question).fetchone()
    except sqlite3.OperationalError:
        token.throw_if_cancellation_requested()
        raise
"""
KEEPS_ITS_HANDLER = """
def first_row(connection, question, token):
    connection.set_progress_handler(lambda: token.is_cancellation_requested, 10_000)
    try:
        with token.register(connection.interrupt):
            return connection.execute(question).fetchone()
    except sqlite3.OperationalError:
        token.throw_if_cancellation_requested()
        raise
"""
LOSES_AN_EARLY_INTERRUPT = """
def first_row(connection, question, token):
    try:
        with token.register(connection.interrupt):
            return connection.execute(question).fetchone()
    except sqlite3.OperationalError:
        token.throw_if_cancellation_requested()
        raise
"""
LOOKS_BEFORE_AND_INTERRUPTS = """
def first_row(connection, question, token):
    token.throw_if_cancellation_requested()
    try:
        with token.register(connection.interrupt):
            return connection.execute(question).fetchone()
    except sqlite3.OperationalError:
        token.throw_if_cancellation_requested()
        raise
"""
LOOKS_BEFORE_AND_INTERRUPTS_A_CURSOR = """
def first_row(connection, question, token):
    cursor = connection.cursor()
    try:
        with token.register(connection.interrupt):
            token.throw_if_cancellation_requested()
            return cursor.execute(question).fetchone()
    except sqlite3.OperationalError:
        token.throw_if_cancellation_requested()
        raise
"""
TAKES_EVERYTHING_FOR_A_CANCEL = """
def first_row(connection, question, token):
    with token.register(connection.interrupt):
        try:
            return connection.execute(question).fetchone()
        except sqlite3.OperationalError:
            raise OperationCanceledError(token=token)
"""

WRONG_ANSWERS = {
    "08_money_and_cleanup-1": [
        (LOOKS_FOR_A_CAPTURE, "'settle'] it should return None, but returned 'refund'"),
        (FORGETS_THE_EMPTY, "for the steps [] it raised IndexError"),
        (ALWAYS_REFUNDS, "it should return 'void', but returned 'refund'"),
    ],
    "08_money_and_cleanup-2": [
        (UNDOES_WITH_THE_ORDERS_TOKEN, "was `undo` called, and with which token?"),
        (ONLY_FOR_CANCELS, "when the oven breaks the bank should have done"),
        (NOT_FOR_TASKS, "when its whole task is cancelled the bank should have done"),
        (TRIES_TOO_LATE, "cancelled during the capture the bank should have done"),
        (TRIES_TOO_EARLY, "cancelled before the money is authorized the bank should have done [], but did ['undo']"),
        (ALWAYS_UNDOES, "when nothing goes wrong the bank should have done"),
        (SWALLOWS, "the error is to pass, but it returned None"),
    ],
    "08_money_and_cleanup-3": [
        (ONLY_LOOKS_BEFORE, "and the query went on"),
        (DOES_NOT_TRANSLATE, "not an OperationCanceledError"),
        (KEEPS_ITS_CALLBACK, "stopped somebody else's query"),
        (KEEPS_ITS_HANDLER, "stopped somebody else's query"),
        (LOSES_AN_EARLY_INTERRUPT, "an interrupt that comes too early is lost"),
        (LOOKS_BEFORE_AND_INTERRUPTS, "in the last moment before the query began, and the query went on"),
        (LOOKS_BEFORE_AND_INTERRUPTS_A_CURSOR, "in the last moment before the query began, and the query went on"),
        (TAKES_EVERYTHING_FOR_A_CANCEL, "that was no cancel"),
    ],
}
