"""The grader against whatever a student may write: it always ends in time, with a verdict in words."""

import ast
import os
import subprocess
import symtable
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor

import nbformat
import pytest

from classroom.grading import nursery as nursery_module
from classroom.grading.answer import answer_to
from classroom.grading.apart import run_apart
from classroom.grading.graded_cell import LESSONS, read_graded_cell
from classroom.grading.names import names_in
from classroom.grading.nursery import nursery

LIMIT = 0.5  # seconds
BUSY = 10  # seconds more that a busy machine may take

# What the answer is, and what the verdict must say of it.
HOSTILE = {
    "loops for ever": (
        "async def work():\n    while True: pass",
        "it did not end within 0.5 s: it blocks its thread in `work`, at `while True: pass`",
    ),
    "blocks": (
        "import time\n\nasync def work():\n    time.sleep(60)",
        "it blocks its thread in `work`, at `time.sleep(60)`, so that nobody else gets a turn",
    ),
    "blocks in a call that nothing interrupts": (
        "async def work():\n    9**9**9",
        "it did not end within 0.5 s, in a call that nothing can interrupt",
    ),
    "deadlocks": (
        "import threading\nlock = threading.Lock()\n\nasync def work():\n    with lock:\n        lock.acquire()",
        "it blocks its thread in `work`, at `lock.acquire()`",
    ),
    "waits for what never comes": (
        "import asyncio\n\nasync def work():\n    await asyncio.Event().wait()",
        "it waits for ever in `work`, at `await asyncio.Event().wait()`: nothing is left that could wake it",
    ),
    "swallows the cancel": (
        "import asyncio\n\nasync def work():\n    while True:\n        try:\n            await asyncio.sleep(1)\n"
        "        except BaseException:\n            pass",
        "it did not end",
    ),
    "never awaits": (
        "import asyncio\n\nasync def work():\n    asyncio.sleep(1)\n    raise ValueError('too early')",
        "the coroutine 'sleep' was never awaited: write `await` in front of the call",
    ),
    "raises SystemExit": (
        "async def work():\n    raise SystemExit",
        "it raised SystemExit in `work`, at `raise SystemExit`. That ends the whole program",
    ),
    "raises KeyboardInterrupt": ("async def work():\n    raise KeyboardInterrupt", "it raised KeyboardInterrupt in"),
    "ends the process": (
        "import os\n\nasync def work():\n    os._exit(0)",
        "it ended its whole process in the middle of the test",
    ),
    "stops the loop": (
        "import asyncio\n\nasync def work():\n    asyncio.get_running_loop().stop()\n    await asyncio.sleep(1)",
        "it stopped the event loop",
    ),
    "prints for ever": (
        "async def work():\n    while True:\n        print('x' * 1000)",
        "it printed more than 1,000,000 characters",
    ),
    "patches asyncio": (
        "import asyncio\n\nasync def nap(*_):\n    pass\n\nasync def work():\n    asyncio.sleep = nap",
        "your code replaces `asyncio.sleep`",
    ),
    "patches time": (
        "import time\n\nasync def work():\n    time.monotonic = lambda: 0",
        "your code replaces `time.monotonic`",
    ),
    "leaves a thread": (
        "import threading, time\n\nasync def work():\n    threading.Thread(target=time.sleep, args=[60]).start()",
        "leaves a thread behind",
    ),
    "is not there": ("async def word(): ...", "there is no `work`. Keep the name that the task gave"),
    "is not Python": ("async def work(:\n    pass", "A cell cannot be read as Python: line 1, 'async def work(:'"),
    "is not written": (
        "async def work():\n    raise NotImplementedError()",
        "this is not written yet: it raised NotImplementedError in `work`",
    ),
    "fails": ("async def work():\n    return 1 / 0", "it raised ZeroDivisionError: division by zero in `work`, at"),
    "takes other parameters": ("async def work(token): ...", "used as the task says, it raised TypeError: work() miss"),
}
if sys.platform == "linux":  # elsewhere the system has no such limit
    HOSTILE["prints a gigabyte at once"] = (
        "async def work():\n    print('x' * 2**30)",
        "it used more than 1 GiB of memory in `work`",
    )


def tried(what, start=None):
    answer, words = HOSTILE[what]
    swallows = what == "swallows the cancel"  # the loop's time runs there, and only a test can say how much is enough
    test = "expect((await ending_of(work)).ended, 'it did not end')" if swallows else "await work()"
    return words, run_apart(test, [answer], limit=LIMIT, start=start)


@pytest.mark.parametrize("what", HOSTILE)
def test_an_answer_that(what):
    before = set(threading.enumerate())
    started = time.monotonic()
    words, verdict = tried(what)
    assert not verdict.passed
    assert words in verdict.text
    assert time.monotonic() - started < LIMIT + 2 + BUSY
    assert set(threading.enumerate()) <= before


def test_the_same_answers_in_processes_of_one_nursery():
    with nursery() as start, ThreadPoolExecutor(4) as pool:
        verdicts = list(pool.map(lambda what: tried(what, start), HOSTILE))
        assert [words for words, verdict in verdicts if verdict.passed or words not in verdict.text] == []
        assert run_apart("await work()", ["async def work(): ..."], start=start).passed


def test_children_of_one_nursery_draw_different_values():
    with nursery() as start:
        test = "import random\nraise NotYet(str(random.random()))"
        assert len({run_apart(test, [], start=start).text for _ in range(3)}) == 3


def test_an_answer_is_not_disturbed_by_what_others_do_meanwhile():
    with ThreadPoolExecutor(4) as pool:
        right = pool.map(lambda _: run_apart("await work()", ["async def work(): ..."]), range(4))
        hostile = ["patches time", "raises SystemExit", "ends the process", "leaves a thread"]
        wrong = pool.map(lambda what: run_apart("await work()", [HOSTILE[what][0]], limit=LIMIT), hostile)
        assert [verdict.passed for verdict in right] == [True] * 4
        assert [verdict.passed for verdict in wrong] == [False] * 4


def test_a_process_that_an_answer_started_ends_with_it(tmp_path):
    if not hasattr(os, "fork"):
        pytest.skip("Windows has no fork")
    note = tmp_path / "pid"
    answer = f"""
import os, time
def work():
    if os.fork() == 0:
        time.sleep(60)
    open({str(note)!r}, "w").write(str(os.getpgrp()))
"""
    assert run_apart("work()", [answer]).passed
    until = time.monotonic() + BUSY
    while is_there(int(note.read_text())):
        assert time.monotonic() < until
        time.sleep(0.01)


def is_there(group):
    try:
        os.killpg(group, 0)
    except ProcessLookupError:
        return False
    return True


def test_an_answer_cannot_take_the_tests_words_away():
    verdict = run_apart("expect(one() == 1, 'it is not one')", ["def one(): return 2", "def expect(*_): pass"])
    assert verdict.text == "it is not one"


def test_files_beside_the_notebook_are_not_mistaken_for_libraries(tmp_path, monkeypatch):
    (tmp_path / "asyncio.py").write_text("raise SystemExit")
    monkeypatch.chdir(tmp_path)
    cells = ["import asyncio\n\nasync def work(): await asyncio.sleep(0)"]
    assert run_apart("await work()", cells).passed
    with nursery() as start:
        assert run_apart("await work()", cells, start=start).passed


# A submission as nbgrader hands it over


def submission(*cells, tests):
    """A notebook with an answer's cells and the text of its tests."""
    notebook = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell(text) for text in cells])
    for number, text in enumerate(tests):
        cell = nbformat.v4.new_code_cell(text)
        cell.metadata.nbgrader = {"grade": True, "solution": False, "grade_id": f"test-{number}"}
        notebook.cells.append(cell)
    return notebook


def graded(notebook):
    """The verdicts, or `TimeoutError` if the grader hangs; a hanging one must not hang these tests."""
    verdicts = pytest.importorskip("classroom.grading.autograde", reason="teachers have nbgrader").verdicts
    found = []
    grading = threading.Thread(target=lambda: found.extend(verdicts(notebook)), daemon=True)
    grading.start()
    grading.join(30)
    if grading.is_alive():
        raise TimeoutError("the grading does not end")
    return [verdict for _, verdict in found]


RIGHT = "def work(): return 1"
UNREADABLE = {
    "nested too deep": "x = " + "-" * 20_000 + "1",
    "too many shell lines": "!true\n" * 501,
    "half a character": "x = '\ud800'",
    "more than anybody writes": "x = 1\n" * 50_000,
}


@pytest.mark.parametrize("what", UNREADABLE)
def test_a_cell_that_python_cannot_parse_harms_no_answer_beside_it(what):
    found = graded(submission(RIGHT, UNREADABLE[what], tests=["compare('it', work(), 1)", "word()"]))
    assert [verdict.passed for verdict in found] == [True, False]
    assert "A cell cannot be read as Python: " in found[1].text


def test_a_test_of_the_teacher_that_cannot_be_parsed_costs_no_other_test():
    tests = ["x = " + "-" * 20_000 + "1", "%%grade 99 No such lesson\nwork()", "def", "work()"]
    found = graded(submission(RIGHT, tests=tests))
    assert [verdict.passed for verdict in found] == [False, False, False, True]
    assert "this test could not be run, tell your teacher: " in found[0].text


def test_a_long_cell_is_read_once_and_in_a_time_in_proportion():
    started = time.monotonic()
    for number in range(20):
        assert answer_to(f"work({number})", ["x = 1\n" * 8000, RIGHT]).source == RIGHT
    assert time.monotonic() - started < BUSY


def test_a_long_chain_of_names_is_followed_in_a_time_in_proportion():
    started = time.monotonic()
    chain = "\n\n".join(["x0 = 1", *(f"x{number + 1} = x{number}" for number in range(5000))])
    for _ in range(5):
        assert answer_to("x5000", [chain, "other = 1"]).source == chain
    assert time.monotonic() - started < BUSY


def test_a_feedback_can_be_stored_whatever_characters_an_error_has():
    verdict = run_apart("work()", ["def work(): raise ValueError(chr(0xd800))"])
    assert "ValueError: \\ud800" in verdict.text
    assert verdict.text.encode()


@pytest.mark.skipif(sys.platform != "linux", reason="nurseries are for Linux")
@pytest.mark.parametrize("sent", ["SIGSTOP", "SIGTERM", "SIGKILL"])
def test_an_answer_that_stops_or_kills_the_grader_costs_no_other_test(sent, monkeypatch):
    monkeypatch.setattr(nursery_module, "_ANSWERS", 3.0)
    hostile = f"import os, signal, time\ndef kill(): os.kill(os.getppid(), signal.{sent}); time.sleep(60)"
    with nursery() as start:
        assert run_apart("work()", [RIGHT], start=start).passed
        assert not run_apart("kill()", [hostile], start=start, limit=LIMIT).passed
        assert run_apart("work()", [RIGHT], start=start).passed


# Time in a test


def test_a_long_wait_takes_no_time_and_is_exactly_as_long_as_it_says():
    answer = "import asyncio\n\nasync def work():\n    await asyncio.sleep(3600)"
    started = time.monotonic()
    test = "begun = now()\nawait work()\nexpect(3600 <= now() - begun < 3601, f'it took {now() - begun}')"
    assert run_apart(test, [answer]).passed
    assert time.monotonic() - started < BUSY


def test_deadlines_of_tokens_and_timeouts_see_the_same_time():
    answer = """
import asyncio
from cancellation import CancellationTokenSource, OperationCanceledError, delay

async def work():
    try:
        await delay(1000, CancellationTokenSource(10).token)
    except OperationCanceledError:
        pass
    try:
        async with asyncio.timeout(20):
            await asyncio.sleep(1000)
    except TimeoutError:
        pass
"""
    test = "begun = now()\nawait work()\nexpect(30 <= now() - begun < 31, f'it took {now() - begun}')"
    assert run_apart(test, [answer]).passed


@pytest.mark.parametrize("clock", ["monotonic", "perf_counter", "time"])
def test_who_looks_at_a_clock_instead_of_the_loops_time_sees_the_same_wait(clock):
    answer = f"""
import asyncio, time

async def work():
    end = time.{clock}() + 600
    looks = 0
    while time.{clock}() < end:
        looks += 1
        await asyncio.sleep(1)
    return looks
"""
    test = "begun = now()\nlooks = await work()\nexpect(595 <= looks <= 600 <= now() - begun < 602, f'{looks} looks')"
    assert run_apart(test, [answer]).passed


def test_time_is_real_while_a_thread_works():
    answer = "import asyncio, time\n\nasync def work():\n    return await asyncio.to_thread(time.sleep, 0.2)"
    assert run_apart("import asyncio\nasync with asyncio.timeout(2):\n    await work()", [answer]).passed


# Of the cells, what a test needs


def test_the_definitions_that_a_test_names_and_all_that_they_name():
    cells = [
        "import asyncio\nSTEPS = 3\nOTHER = 4",
        "while True:\n    pass",
        "await nothing_that_is_there()",
        "def helper(x):\n    return x * STEPS",
        "def work():\n    return helper(2)\n\nwork()",
        "%matplotlib inline\n!rm everything",
    ]
    assert answer_to("work()", cells).source == (
        "STEPS = 3\n\ndef helper(x):\n    return x * STEPS\n\ndef work():\n    return helper(2)"
    )


def test_local_names_bring_nothing_along():
    cells = ["task = start_the_missiles()", "def work(task):\n    other = task\n    return other", "other = 1"]
    assert "missiles" not in answer_to("work(1)", cells).source
    assert answer_to("task = work(1)\ntask", cells).source == cells[1]


def test_what_is_done_to_a_needed_thing_comes_with_it():
    cells = [
        "from web import App\napp = App()",
        "@app.get('/')\nasync def root(): ...",
        "app.add(1)\napp.title = 'x'\napp.routes[0] = None",
        "print(1)",
    ]
    source = answer_to("app", cells).source
    assert all(
        part in source for part in ("from web", "app = App()", "@app.get", "app.add(1)", "app.title", "routes[0]")
    )
    assert "print" not in source


def test_the_last_definition_counts_and_star_and_future_imports_are_kept():
    cells = [
        "def work(): return 1",
        "from cancellation import *\nfrom __future__ import annotations",
        "def work(): return 2",
    ]
    assert answer_to("work()", cells).source.startswith("from __future__ import annotations")
    assert run_apart("compare('it', work(), 2)\ndelay", cells).passed


TRY_OUTS = {
    "a builtin's name": "list = [1, 2]",
    "a name of the grader": "seen = nothing_that_is_there(work)",
    "a change of a builtin": "list.size = 3",
    "a call of a new thing, which changes that": "Thing().stop(5)",
    "a call of what a function returns": "work().upper()",
    "a call of a function of the answer": "work()",
    "what such a call returns": "thing = Thing.make()",
    "a count of what the answer itself counts": "count(); print(count())",
    "a print": "print(work(), TABLE.pop())",
    "prints in a loop": "for number in TABLE:\n    print(number, TABLE.index(number))",
    "a check": "assert TABLE.pop() == work()",
    "a condition": "if TABLE.count(1):\n    print('one')",
    "a program": "import asyncio\nasyncio.run(TABLE.work())",
    "a change after a loop that never ends": "while True:\n    TABLE.append(1)",
    "a change within such a loop": "if True:\n    while 1:\n        TABLE.append(1)",
    "a function that changes something": "def never_called():\n    TABLE.append(1)",
    "a call of a function that only looks": "def look(table):\n    return len(table)\n\nlook(TABLE)",
}


@pytest.mark.parametrize("what", TRY_OUTS)
def test_a_try_out_is_not_part_of_the_answer_though_it_has(what):
    cells = [
        "class Thing:\n    def stop(self, why): self.why = why",
        "TABLE = []\ncounted = 0",
        "def work(): return list(('a', Thing))",
        "def count():\n    global counted\n    counted += 1\n    TABLE.append(counted)\n    return counted",
        TRY_OUTS[what],
    ]
    test = "compare('it', seen(await ending_of(make)), 'returned 1')\nlist(work())\nThing\ncount()\nTABLE"
    answer = answer_to(test, cells)
    assert answer.source == "\n\n".join([cells[0], *cells[1].split("\n"), *cells[2:4]])


# What the answer is, how it is changed, and what a test of it then sees.
CHANGES = {
    "an awaited method": ("import asyncio\nq = asyncio.Queue()", "await q.put(1)", "q.get_nowait() == 1"),
    "a method whose result is kept": ("T = []", "_ = T.append(1)", "T == [1]"),
    "a method whose result is kept with its type": ("T = [0]", "zero: int = T.pop()", "T == []"),
    "a method in a walrus": ("class A: r = []\napp = A()", "(n := app.r.append(1))", "app.r == [1]"),
    "a method in a comprehension": ("T = []", "[T.append(n) for n in range(3)]", "T == [0, 1, 2]"),
    "a method in a condition": ("T = []", "True and T.append(1)", "T == [1]"),
    "methods that are awaited together": (
        "import asyncio\nq = asyncio.Queue()",
        "await asyncio.gather(q.put(1), q.put(2))",
        "q.qsize() == 2",
    ),
    "a method that is mapped": ("T = []", "list(map(T.append, range(3)))", "T == [0, 1, 2]"),
    "a method of a builtin class": ("T = []", "list.append(T, 1)", "T == [1]"),
    "an attribute with a type": ("class A: pass", "A.x: int = 1", "A.x == 1"),
    "an item that is deleted": ("d = {'x': 1}", "del d['x']", "d == {}"),
    "an attribute that is deleted": ("class A: x = 1", "del A.x", "not hasattr(A, 'x')"),
    "items in a loop": ("T = {}", "for i in range(3): T[i] = i", "T == {0: 0, 1: 1, 2: 2}"),
    "an item as the variable of a loop": ("T = {}", "for T['last'] in range(3): pass", "T == {'last': 2}"),
    "items of several names": ("T = [0, 0]", "T[0], *T[1:] = 1, 2", "T == [1, 2]"),
    "a method in an if": ("T = []", "if True: T.append(1)", "T == [1]"),
    "a method in an else": ("T = []", "if False: pass\nelse: T.append(1)", "T == [1]"),
    "a method in a while": ("T = []", "while len(T) < 3: T.append(1)", "T == [1, 1, 1]"),
    "a method in a loop that ends": ("T = []", "while True:\n    T.append(1)\n    break", "T == [1]"),
    "a method in a with": (
        "from contextlib import nullcontext\nT = []",
        "with nullcontext():\n    T.append(1)",
        "T == [1]",
    ),
    "a method in a try": ("T = []", "try: T.remove(1)\nexcept ValueError: T.append(1)", "T == [1]"),
    "a method in a match": ("T = []", "match 1:\n    case 1: T.append(1)", "T == [1]"),
    "a method in the body of a class": ("T = []", "class A:\n    T.append(1)", "T == [1]"),
    "setattr": ("class Signal: pass\ndef f(self): return 1", "setattr(Signal, 'cancel', f)", "Signal().cancel() == 1"),
    "setattr in a loop": (
        "class Signal: pass",
        "for name in ('a', 'b'): setattr(Signal, name, 1)",
        "(Signal.a, Signal.b) == (1, 1)",
    ),
    "vars": ("class Signal: pass\nsignal = Signal()", "vars(signal)['a'] = 1", "signal.a == 1"),
    "heappush": ("from heapq import heappush\nT = []", "heappush(T, 1)", "T == [1]"),
    "a heap by its module": ("import heapq\nT = []", "heapq.heappush(T, 1)", "T == [1]"),
    "next": ("numbers = iter([1, 2])", "next(numbers)", "next(numbers) == 2"),
    "a function of its own": ("R = []\ndef fill(r): r.append(1)", "fill(R)", "R == [1]"),
    "a function by keyword": ("R = []\ndef fill(n, *, r): r.append(n)", "fill(1, r=R)", "R == [1]"),
    "a function in a loop": ("R = []\ndef fill(r, n): r[n:] = [n]", "for n in range(2): fill(R, n)", "R == [0, 1]"),
    "a function of a function": (
        "R = []\ndef put(n, r): r.append(n)\ndef fill(r):\n    if r == []:\n        put(1, r)",
        "fill(R)",
        "R == [1]",
    ),
    "an awaited function": ("R = []\nasync def fill(r): r.append(1)", "await fill(R)", "R == [1]"),
    "a function that knows the name": ("R = []\ndef fill(): R.append(1)", "fill()", "R == [1]"),
    "a function that binds the name": ("n = 0\ndef set_up():\n    global n\n    n = 3", "set_up()", "n == 3"),
    "a method of its own": (
        "R = []\nclass Filler:\n    def fill(self, r): r.append(1)\nfiller = Filler()",
        "filler.fill(R)",
        "R == [1]",
    ),
    "an object that enters itself": (
        "R = []\nclass Entry:\n    def __init__(self, r): r.append(self)",
        "Entry(R)",
        "len(R) == 1",
    ),
}


@pytest.mark.parametrize("what", CHANGES)
def test_a_statement_that_may_change_what_an_answer_uses_is_run(what):
    answer, change, sees = CHANGES[what]
    assert run_apart(f"expect({sees}, 'it was not changed')", [answer, change]).text == ""
    assert change not in answer_to("other", [answer, "other = 1", change]).source


def test_a_function_with_a_builtins_name_is_the_answers_and_never_the_tests():
    cells = ["def round(x): return 7", "def work(): return round(1.2)"]
    assert run_apart("compare('it', work(), 7)\ncompare('round', round(1.2), 1)", cells).passed


def test_what_other_languages_take_for_the_end_of_a_line_does_not_cut_a_statement():
    cells = ["first = 'a\x0b\u2028b'\r\n@staticmethod\r\ndef work(): return 'é'; 2\r\nlast = 'é'; other = last"]
    assert answer_to("work, other", cells).source == (
        "@staticmethod\ndef work(): return 'é'; 2\n\nlast = 'é'\n\nother = last"
    )


# By statement: the names that it binds at the top level, and the global names that it uses.
NAMES = {
    "await start()": ("", "start"),
    "found = [await look(x) for x in places]": ("found", "look places"),
    "async with door() as way: pass": ("way", "door"),
    "async for order in orders: last = order": ("order last", "orders order"),
    "found = [x async for x in orders]": ("found", "orders"),
    "found = [x for x in x]": ("found", "x"),
    "found = [last := x for x in places]": ("found last", "places"),
    "if (found := look()): pass": ("found", "look"),
    "total += step": ("total", "total step"),
    "from kitchen import *": ("", ""),
    "import oven.door, oven.fire as fire": ("oven fire", ""),
    "def f(a: A, *b, c=d, **e) -> R:\n    g = a, b, c, e, h\n    return g": ("f", "A R d h"),
    "def f():\n    global g\n    g = 1": ("f", "g"),
    "def f():\n    g = 1\n    def h():\n        nonlocal g\n        g = k": ("f", "k"),
    "def f():\n    g = 1\n    def h():\n        global g\n        return g": ("f", "g"),
    "def f():\n    [g := x for x in places]\n    return g": ("f", "places"),
    "def f():\n    [g for _ in places]\n    lambda: g\n    g = 1": ("f", "places"),
    "def f():\n    import g.h\n    with k() as m: return g, m": ("f", "k"),
    "@route(path)\nclass A(B, key=c):\n    d = 1\n    e = d\n    def f(self): return d": ("A", "route path B c d"),
    "class A:\n    sizes = [s for s in SIZES]\n    def f(self): return __class__, A": ("A", "SIZES A __class__"),
    "try: f()\nexcept E as error: print(error)": ("error", "f E print error"),
    "match f():\n    case P(a, b=[*c]) | {'d': a, **e} if g: pass": ("a c e", "f P g"),
    "lambda a=b: (a, c)": ("", "b c"),
    "del old": ("old", ""),
    # Private names, as Python mangles them in a class.
    "class A:\n    def f(self): return __h, __h__, self.__i": ("A", "_A__h __h__"),
    "class _A:\n    __h = 1\n    def f(self, __a=__d): return __h, __a": ("_A", "_A__d _A__h"),
    "class A(__b):\n    class __C:\n        __c = __d\n    x = __C": ("A", "__b _C__d"),
    "class __:\n    x = __h": ("__", "__h"),
    "class A:\n    def f(self):\n        global __h, g\n        import __i\n        __h = __i": ("A", "_A__h g"),
}
if sys.version_info >= (3, 12):
    NAMES["type Way[T] = list[T, S]"] = ("Way", "list S")
    NAMES["def f[T: B](a: T) -> T:\n    return T"] = ("f", "B")
    NAMES["class A[T](B[T]):\n    def f(self, a: T): ..."] = ("A", "B")


@pytest.mark.parametrize("statement", NAMES)
def test_the_names_that_a_statement_binds_and_uses(statement):
    names = names_in(ast.parse(statement))
    assert (names.binds, names.uses) == tuple(set(text.split()) for text in NAMES[statement])


def test_a_top_level_await_is_read_also_where_symtable_refuses_it_as_on_python_3_14(monkeypatch):
    real = symtable.symtable

    def as_on_python_3_14(source, name, kind):
        compile(source, name, kind)  # refuses a top-level await, too
        return real(source, name, kind)

    monkeypatch.setattr(symtable, "symtable", as_on_python_3_14)
    cells = ["shop = await open_shop()  # 3.14", "async def open_shop(): return 3.14"]
    assert run_apart("compare('it', await open_shop(), 3.14)\ncompare('shop', shop, 3.14)", cells[::-1]).passed


def test_a_name_bound_inside_of_a_comprehension_comes_along_and_its_variable_does_not():
    cells = ["x = nothing_that_is_there()", "steps = [last := x for x in range(3)]", "def work(): return last"]
    assert answer_to("work()", cells).source == f"{cells[1]}\n\n{cells[2]}"


def test_a_mistake_that_only_the_compiler_finds_is_told_and_costs_no_other_definition_in_its_cell():
    cell = "def work():\n    await other()\n\ndef right(): return 1"
    verdict = run_apart("work()", [cell])
    assert "your code cannot be read: 'await' outside async function, line 2" in verdict.text
    assert run_apart("compare('it', right(), 1)", [cell]).passed


# Races


RACE = """
class Once:
    def __init__(self):
        self.done = False

    def do(self, action):
        if not self.done:
            self.done = True
            action()
"""
RACE_TEST = """
def arrange():
    global called
    called, once = [], Once()
    return (lambda: once.do(lambda: called.append(1))), (lambda: once.do(lambda: called.append(2)))
for step in all_interleavings(arrange):
    expect(len(called) == 1, f"it was done {len(called)} times")
"""


def test_a_race_is_found_every_time():
    for _ in range(3):
        assert run_apart(RACE_TEST, [RACE]).text == "it was done 2 times"


def test_a_lock_ends_the_race():
    locked = (
        RACE.replace("self.done = False", "self.done, self.lock = False, Lock()")
        .replace(
            "if not self.done:\n            self.done = True",
            "with self.lock:\n            done, self.done = self.done, True",
        )
        .replace("            action()", "        if not done:\n            action()")
    )
    assert run_apart(RACE_TEST, ["from threading import Lock", locked]).passed


# Graded cells


def test_a_graded_cell_names_its_behaviour_and_the_lesson_to_read():
    cell = read_graded_cell("%%grade 06 One is one\ncompare('one()', one(), 1, 'Count again.')")
    assert cell.verdict(["def one(): return 1"]).text == "One is one"
    assert cell.verdict(["def one(): return 2"]).text == (
        "One is one: one(): expected 1, but saw 2. Count again. Read again: lesson 06, Deadlines and links."
    )


def test_a_note_above_the_first_line_and_no_such_line_at_all_do_no_harm():
    assert read_graded_cell("# This cell was missing.\n\n%%grade 06 One\none()").test == "one()"
    assert (
        read_graded_cell("assert one() == 1, 'not one'").verdict(["def one(): return 2"]).text == "This test: not one"
    )


def test_a_lesson_that_there_is_not_is_refused():
    with pytest.raises(ValueError, match="lesson must be one of 00, 01"):
        read_graded_cell("%%grade 99 One\none()")


def test_lessons_have_the_names_of_their_files():
    from lessons import NOTEBOOKS

    for path in NOTEBOOKS.glob("[0-9]*.ipynb"):
        number, name = path.stem.split("_", 1)
        assert LESSONS[number].lower().replace(" ", "_") == name


def test_a_child_loads_nothing_that_it_does_not_need():
    code = "import sys, classroom.grading.child; print({'IPython', 'pizzeria', 'nbgrader'} & set(sys.modules))"
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=True)
    assert run.stdout == "set()\n"
