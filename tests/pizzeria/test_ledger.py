import multiprocessing
import os
import pickle
import signal
import sqlite3
import sys
import threading
from contextlib import suppress

import pytest

import pizzeria.ledger
from pizzeria import Ledger, LedgerError


@pytest.fixture
def ledger():
    with Ledger() as ledger:
        yield ledger


def steps(ledger, order_id="a"):
    return [entry.step for entry in ledger.entries(order_id)]


def test_a_sale_is_authorized_captured_and_settled(ledger):
    ledger.authorize("a", 950)
    ledger.capture("a")
    ledger.settle("a")
    assert steps(ledger) == ["authorize", "capture", "settle"]
    assert {entry.cents for entry in ledger.entries()} == {950}
    assert (ledger.charged(), ledger.refunded(), ledger.kept()) == (950, 0, 950)


def test_undo_voids_what_is_reserved(ledger):
    ledger.authorize("a", 950)
    assert ledger.undo("a").step == "void"
    assert (ledger.charged(), ledger.kept()) == (0, 0)


def test_undo_refunds_what_is_taken_and_only_once(ledger):
    ledger.authorize("a", 950)
    ledger.capture("a")
    assert ledger.undo("a").step == "refund"
    assert ledger.undo("a") is None
    assert (ledger.charged(), ledger.refunded(), ledger.kept()) == (950, 950, 0)


def test_undo_of_an_order_that_never_paid_or_is_settled_gives_nothing_back(ledger):
    assert ledger.undo("nobody") is None
    ledger.authorize("a", 950)
    ledger.capture("a")
    ledger.settle("a")
    assert ledger.undo("a") is None
    assert ledger.kept("a") == 950


def test_an_undo_that_comes_before_its_payment_refuses_the_payment_and_is_no_entry(ledger):
    assert [ledger.undo("a"), ledger.undo("a")] == [None, None]
    for step in (lambda: ledger.authorize("a", 950), lambda: ledger.capture("a"), lambda: ledger.settle("a")):
        with pytest.raises(LedgerError, match=r"cannot \w+ order a: it was undone before it was paid for"):
            step()
    assert ledger.entries() == ledger.report() == []
    assert [ledger.knows("a"), ledger.knows("b")] == [True, False]
    assert ledger.authorize("b", 950).step == "authorize"


def test_an_order_that_has_ended_is_not_taken_for_one_that_was_undone_before(ledger):
    ledger.authorize("a", 950)
    ledger.undo("a")
    ledger.undo("a")
    with pytest.raises(LedgerError, match="authorize comes first, and done for it is: authorize, void"):
        ledger.authorize("a", 950)


@pytest.mark.parametrize(
    ("done", "step", "says"),
    [
        ([], "capture", "capture comes right after authorize, and done for it is: nothing"),
        ([], "refund", "refund comes right after capture, and done for it is: nothing"),
        (["authorize"], "settle", "settle comes right after capture, and done for it is: authorize"),
        (["authorize", "capture"], "void", "void comes right after authorize, and done for it is: authorize, capture"),
        (["authorize", "capture"], "capture", "done for it is: authorize, capture"),
        (["authorize", "capture", "refund"], "refund", "done for it is: authorize, capture, refund"),
        (["authorize", "capture", "settle"], "refund", "done for it is: authorize, capture, settle"),
        (["authorize", "capture", "refund"], "settle", "done for it is: authorize, capture, refund"),
        (["authorize", "void"], "capture", "done for it is: authorize, void"),
        (["authorize", "void"], "authorize", "authorize comes first, and done for it is: authorize, void"),
    ],
)
def test_a_step_out_of_order_is_refused_and_changes_nothing(ledger, done, step, says):
    for earlier in done:
        ledger.authorize("a", 950) if earlier == "authorize" else getattr(ledger, earlier)("a")
    with pytest.raises(LedgerError, match=says):
        ledger.authorize("a", 950) if step == "authorize" else getattr(ledger, step)("a")
    assert steps(ledger) == done


def test_refusals_leave_the_database_whole(ledger):
    for n in range(200):
        ledger.authorize(f"order {n}", 950)
        ledger.undo(f"order {n}")
        with pytest.raises(LedgerError):
            ledger.authorize(f"order {n // 2}", 850)
    assert ledger._database.execute("PRAGMA integrity_check").fetchall() == [("ok",)]
    assert len(ledger.entries()) == 400


class Interruption:
    """Ctrl-C before the `at`-th line that the ledger's code comes to."""

    def __init__(self, at):
        self.at, self.lines = at, 0

    def __enter__(self):
        self.tracing = sys.gettrace()
        sys.settrace(self.step)
        return self

    def __exit__(self, *_):
        sys.settrace(self.tracing)

    def step(self, frame, event, _):
        if frame.f_code.co_filename != pizzeria.ledger.__file__:
            return None
        if event == "line":
            self.lines += 1
            if self.lines == self.at:
                raise KeyboardInterrupt
        return self.step


@pytest.mark.parametrize("end", ["undo", "settle"])
def test_an_interrupt_before_any_line_leaves_no_step_half_done(end):
    at = 0
    while True:
        at += 1
        with Ledger() as ledger:
            with suppress(KeyboardInterrupt), Interruption(at) as interruption:
                ledger.authorize("a", 950)
                ledger.capture("a")
                getattr(ledger, end)("a")
            ledger.undo("a")
            assert ledger.undo("a") is None
            assert steps(ledger) in (
                [],
                ["authorize", "void"],
                ["authorize", "capture", "refund"],
                ["authorize", "capture", "settle"],
            ), f"interrupted before line {at}"
        if interruption.lines < at:
            break
    assert at > 15


def test_a_ledger_that_is_dropped_closes_its_database():
    ledger = Ledger()
    database = ledger._database
    del ledger
    with pytest.raises(sqlite3.ProgrammingError, match="closed"):
        database.execute("SELECT 1")


def test_a_closed_ledger_says_that_it_is_closed_whatever_one_asks(ledger):
    ledger.authorize("a", 950)
    ledger.authorize("b", 950)
    ledger.capture("b")
    ledger.close()
    for ask in (
        lambda: ledger.authorize("c", 950),
        lambda: ledger.capture("a"),
        lambda: ledger.undo("a"),
        lambda: ledger.settle("b"),
        lambda: ledger.refund("nobody"),
        lambda: ledger.undo("nobody"),
        lambda: ledger.knows("nobody"),
        ledger.entries,
        ledger.kept,
        ledger.report,
    ):
        with pytest.raises(LedgerError, match="this ledger was closed"):
            ask()


def test_what_is_kept_is_right_while_another_thread_takes_money_and_gives_it_back(ledger, monkeypatch):
    def another_thread():
        ledger.capture("a")
        ledger.refund("a")

    def refunded_a_moment_later(order_id=None):
        other.start()
        other.join(0.1)
        return refunded(order_id)

    ledger.authorize("a", 950)
    refunded, other = ledger.refunded, threading.Thread(target=another_thread)
    monkeypatch.setattr(ledger, "refunded", refunded_a_moment_later)
    assert ledger.kept() == 0
    other.join()
    assert steps(ledger) == ["authorize", "capture", "refund"]


@pytest.mark.parametrize("order_id", [None, 5])
def test_an_order_id_is_text(ledger, order_id):
    for step in (
        lambda: ledger.authorize(order_id, 950),
        lambda: ledger.capture(order_id),
        lambda: ledger.undo(order_id),
        lambda: ledger.knows(order_id),
    ):
        with pytest.raises(TypeError, match=f"order_id must be text, not {order_id}"):
            step()


def test_an_amount_that_no_sum_could_hold_is_refused(ledger):
    with pytest.raises(ValueError, match=r"cents must be at most 1000000000000, not 9223372036854775808"):
        ledger.authorize("a", 2**63)


@pytest.mark.parametrize("cents", [0, -5, 9.5, "950", None, True])
def test_amounts_are_whole_cents_above_zero(ledger, cents):
    with pytest.raises(ValueError, match="cents must be a whole number above 0, not"):
        ledger.authorize("a", cents)
    assert ledger.entries() == []


def test_totals_are_per_order_or_over_all(ledger):
    for order_id, cents in (("a", 100), ("b", 200)):
        ledger.authorize(order_id, cents)
        ledger.capture(order_id)
    ledger.refund("b")
    assert (ledger.kept("a"), ledger.kept("b"), ledger.kept()) == (100, 0, 100)
    assert (ledger.charged("b"), ledger.refunded("b"), ledger.refunded()) == (200, 200, 200)


def test_looking_up_one_order_is_no_more_work_among_thousands(ledger):
    def work(look):
        steps = []
        ledger._database.set_progress_handler(lambda: steps.append(1), 1)
        look("a")
        ledger._database.set_progress_handler(None, 1)
        return len(steps)

    looks = ledger.entries, ledger.charged, ledger.refunded
    ledger.authorize("a", 950)
    ledger.authorize("b", 950)
    among_two = [work(look) for look in looks]
    for n in range(2000):
        ledger.authorize(f"other {n}", 850)
    assert [work(look) for look in looks] == among_two


def test_reopening_a_file_voids_and_refunds_what_was_left_unfinished_and_says_so(tmp_path):
    path = tmp_path / "money.db"
    with Ledger(path) as ledger:
        for order_id in ("reserved", "taken", "out", "gone back"):
            ledger.authorize(order_id, 100)
        for order_id in ("taken", "out", "gone back"):
            ledger.capture(order_id)
        ledger.settle("out")
        ledger.refund("gone back")
    with Ledger(path) as ledger:
        assert [(entry.order_id, entry.step) for entry in ledger.repaired] == [
            ("reserved", "void"),
            ("taken", "refund"),
        ]
        assert ledger.kept() == 100
    with Ledger(path) as ledger:
        assert ledger.repaired == []


def _undo_and_be_killed(path):
    ledger = Ledger(path)
    ledger.undo("a")
    os.kill(os.getpid(), signal.SIGKILL)


@pytest.mark.skipif(not hasattr(signal, "SIGKILL"), reason="this system has no SIGKILL")
def test_an_undo_that_came_before_its_payment_is_remembered_by_the_file_of_a_killed_process(tmp_path):
    process = multiprocessing.get_context("spawn").Process(target=_undo_and_be_killed, args=(tmp_path / "money.db",))
    process.start()
    process.join()
    assert process.exitcode == -signal.SIGKILL
    with Ledger(tmp_path / "money.db") as ledger:
        assert ledger.repaired == []
        with pytest.raises(LedgerError, match="it was undone before it was paid for"):
            ledger.authorize("a", 950)
        assert ledger.entries() == []


def test_a_file_from_before_such_undos_were_remembered_opens_and_remembers_them_from_then_on(tmp_path):
    path = tmp_path / "money.db"
    with sqlite3.connect(path) as database:
        database.executescript(pizzeria.ledger._SCHEMA)
        database.execute("INSERT INTO authorized VALUES (1, 'old', 950, 0.0)")
    database.close()
    for _ in range(2):
        with Ledger(path) as ledger:
            ledger.undo("a")
            with pytest.raises(LedgerError, match="it was undone before it was paid for"):
                ledger.authorize("a", 950)
            assert steps(ledger, "old") == ["authorize", "void"]


def test_a_reopened_file_takes_new_orders_also_after_refusals(tmp_path):
    path = tmp_path / "money.db"
    with Ledger(path) as ledger:
        ledger.authorize("a", 100)
        for _ in range(3):
            with pytest.raises(LedgerError):
                ledger.authorize("a", 100)
        ledger.authorize("b", 100)
    with Ledger(path) as ledger:
        for order_id in "cdefg":
            ledger.authorize(order_id, 100)
        assert [entry.order_id for entry in ledger.entries()] == list("ababcdefg")


def test_a_file_can_be_opened_again_where_the_last_step_before_its_closing_was_refused(tmp_path):
    with Ledger(tmp_path / "money.db") as closed:
        closed.authorize("a", 100)
        with pytest.raises(LedgerError):
            closed.authorize("a", 100)
    with Ledger(tmp_path / "money.db") as ledger:
        assert steps(ledger) == ["authorize", "void"]


def test_entries_are_listed_as_they_came_also_where_the_clock_was_put_back(ledger, monkeypatch):
    times = iter([3.0, 2.0, 1.0])
    monkeypatch.setattr("pizzeria.ledger.time.time", lambda: next(times))
    ledger.authorize("a", 100)
    ledger.authorize("b", 100)
    ledger.capture("a")
    assert [(entry.order_id, entry.step) for entry in ledger.entries()] == [
        ("a", "authorize"),
        ("b", "authorize"),
        ("a", "capture"),
    ]


def _open(path, answers):
    try:
        Ledger(path)
    except LedgerError as error:
        answers.put(str(error))
    else:
        answers.put("opened")


@pytest.mark.parametrize("in_use", [True, False], ids=["and uses", "and only looks at"])
@pytest.mark.parametrize("new", [True, False], ids=["new", "old"])
def test_a_ledger_that_another_process_has_open_is_refused_with_advice(tmp_path, new, in_use):
    path = tmp_path / "money.db"
    if not new:
        Ledger(path).close()
    context = multiprocessing.get_context("spawn")
    answers = context.Queue()
    with Ledger(path) as ledger:
        if in_use:
            ledger.authorize("running", 100)
        process = context.Process(target=_open, args=(path, answers))
        process.start()
        answer = answers.get(timeout=60)
        process.join()
        assert "close() that one first" in answer
        assert "money.db" in answer
        assert steps(ledger, "running") == ["authorize"] * in_use


def test_a_file_that_is_no_ledger_is_refused_and_left_as_it_is(tmp_path):
    path = tmp_path / "letter.txt"
    path.write_text("Dear customer, " * 100)
    with pytest.raises(LedgerError, match=r"letter\.txt"):
        Ledger(path)
    assert path.read_text() == "Dear customer, " * 100


def test_a_database_of_something_else_is_refused_and_left_as_it_is(tmp_path):
    path = tmp_path / "other.db"
    with sqlite3.connect(path) as database:
        database.execute("CREATE TABLE diary (day TEXT)")
    database.close()
    before = path.read_bytes()
    with pytest.raises(LedgerError, match="if it is something else, name another file"):
        Ledger(path)
    assert path.read_bytes() == before


def test_a_folder_that_is_not_there_is_named_with_advice(tmp_path):
    with pytest.raises(LedgerError, match=r"money\.db.*whether its folder exists"):
        Ledger(tmp_path / "nowhere" / "money.db")


@pytest.mark.parametrize(("path", "error"), [("", ValueError), (None, TypeError), (3, TypeError)])
def test_a_path_must_name_a_file(path, error):
    with pytest.raises(error):
        Ledger(path)


def test_many_threads_can_use_one_ledger(ledger):
    def sell(number):
        for i in range(50):
            ledger.authorize(f"{number}-{i}", 10)
            ledger.capture(f"{number}-{i}")

    threads = [threading.Thread(target=sell, args=(number,)) for number in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert ledger.charged() == 8 * 50 * 10


def test_a_refusal_says_which_step_it_refuses_also_once_it_has_travelled(tmp_path):
    with Ledger() as ledger:
        ledger.authorize("a", 950)
        ledger.undo("undone before")
        for step, arguments in {"authorize": ("a", 950), "settle": ("a",), "capture": ("undone before",)}.items():
            with pytest.raises(LedgerError) as caught:
                getattr(ledger, step)(*arguments)
            travelled = pickle.loads(pickle.dumps(caught.value))
            assert travelled.refused == caught.value.refused == step
            assert str(travelled) == str(caught.value)
    with pytest.raises(LedgerError) as caught:
        Ledger(tmp_path)
    assert caught.value.refused is None
