"""A grader that nothing a student writes can harm.

    answer.py        of all cells of a notebook, the statements that a test needs
    names.py         the names that a statement binds and uses
    apart.py         runs answer and test in a process of their own, ends it in time, and brings a verdict back
    nursery.py       makes such processes by the dozen, on Linux, from one that has loaded the libraries
    child.py         what happens in such a process
    time_travel.py   its event loop: time jumps while everybody waits, so that a minute's wait takes no time
    interleaving.py  stops one thread at each of its steps while another one runs: races, found every time
    tools.py         what the text of a test may use
    notebook.py      `%%grade` and `%self_check`, for students
    autograde.py     the same for nbgrader
    clean.py         what students wrote, without what could act on nbgrader's pages
    __main__.py      a whole class in one command

Why a process, and not a fork of the kernel: a student's code may block its thread, patch `time`, start threads, or
leave by `os._exit`; none of that can be undone in a process, but a process can be ended. A fork would inherit the
kernel's threads and locks, is unsafe on macOS, and does not exist on Windows. Why source text, and not pickles: text
starts fresh in the child, whatever state the kernel is in, and locks, tasks and open connections cannot be pickled.

It is a fence, not a prison: code that sets out to forge its verdict can. Grade strangers in a container.

Nothing is imported here: every child comes through, and a class makes hundreds of them.
"""


def load_ipython_extension(shell: object) -> None:
    """`%load_ext classroom.grading`: makes `%%grade` and `%self_check` known to a notebook."""
    from classroom.grading.notebook import install

    install(shell)
