TOUCHES_THE_LOOP = """
def start_order(loop, order, tasks):
    tasks.add(loop.create_task(order()))
"""
CALLS_SOON = """
def start_order(loop, order, tasks):
    loop.call_soon(lambda: tasks.add(loop.create_task(order())))
"""
KEEPS_NO_TASK = """
def start_order(loop, order, tasks):
    asyncio.run_coroutine_threadsafe(order(), loop)
"""
HANDS_OVER_NOTHING = """
def start_order(loop, order, tasks):
    loop.call_soon_threadsafe(order)
"""
ON_THE_CLICKS_LOOP = """
def start_order(loop, order, tasks):
    tasks.add(asyncio.create_task(order()))
"""

BLOCKS = """
import threading

async def wait_for_click(button):
    clicked = threading.Event()
    button.on_click(lambda _: clicked.set())
    clicked.wait(10)
"""
POLLS_AND_BLOCKS = """
import time

async def wait_for_click(button):
    clicked = False

    def note(_):
        clicked = True  # `nonlocal` is forgotten, too

    button.on_click(note)
    for _ in range(100):  # instead of `while not clicked`, for a test must end
        time.sleep(0.1)
"""
FUTURE = """
async def wait_for_click(button):
    clicked = asyncio.get_running_loop().create_future()
    button.on_click(lambda _: clicked.set_result(None))
    await clicked
"""
DOES_NOT_WAIT = """
async def wait_for_click(button):
    clicked = CancellationTokenSource()
    button.on_click(lambda _: clicked.cancel())
"""
HEARS_NOBODY = """
async def wait_for_click(button):
    await asyncio.sleep(0.1)
"""

NOBODY_RUNS_IT = '''
SCRIPT = """
async def main():
    print("delivered")

main()
"""
'''
FORGETS_THE_IMPORT = '''
SCRIPT = """
async def main():
    print("delivered")

asyncio.run(main())
"""
'''
WITHOUT_MAIN = """
SCRIPT = "print('delivered')"
"""
GIVES_THE_FUNCTION = '''
SCRIPT = """
import asyncio

async def main():
    print("delivered")

asyncio.run(main)
"""
'''

WRONG_ANSWERS = {
    "05_loops_and_scripts-1": [
        (TOUCHES_THE_LOOP, "it touched `loop` directly"),
        (CALLS_SOON, "it touched `loop` directly"),
        (KEEPS_NO_TASK, "its task is not in `tasks`"),
        (HANDS_OVER_NOTHING, "the order never began"),
        (ON_THE_CLICKS_LOOP, "on the loop of *that* thread"),
    ],
    "05_loops_and_scripts-2": [
        (BLOCKS, "its loop stands still"),
        (POLLS_AND_BLOCKS, "its loop stands still"),
        (FUTURE, "the callback touched asyncio directly"),
        (DOES_NOT_WAIT, "before anybody had clicked"),
        (HEARS_NOBODY, "gave the button no callback"),
    ],
    "05_loops_and_scripts-3": [
        (NOBODY_RUNS_IT, "nobody ran it"),
        (FORGETS_THE_IMPORT, "name 'asyncio' is not defined"),
        (WITHOUT_MAIN, "without its `async def main`"),
        (GIVES_THE_FUNCTION, "ended in an error"),
    ],
}
