"""Ctrl-C, SIGTERM and a terminal that is closed: noted while attempts run, acted upon between two steps of the driver.

Before attempts run, they end the command at once.
"""

import errno
import os
import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from types import FrameType
from typing import NoReturn

HANG_UP: signal.Signals | None = getattr(signal, "SIGHUP", None)
"""Of a terminal that was closed, or a connection that broke; Windows knows none."""

INTERRUPTIONS = frozenset({signal.SIGINT, signal.SIGTERM, *([] if HANG_UP is None else [HANG_UP])})

PREEMPTIONS = frozenset(
    number for name in ("SIGUSR1", "SIGUSR2") if (number := getattr(signal, name, None)) is not None
)
"""What a cluster sends, to all processes of a job, some time before it takes the machine away."""


def listened_to() -> frozenset[signal.Signals]:
    """Return the interruptions that this process is to hear: no hang-up if it was started to ignore it, by nohup."""
    return INTERRUPTIONS if HANG_UP is None or not _ignores(HANG_UP) else INTERRUPTIONS - {HANG_UP}


def _ignores(number: int) -> bool:
    return signal.getsignal(number) is signal.SIG_IGN


@contextmanager
def interruptions() -> Iterator[list[int]]:
    """Collect Ctrl-C, SIGTERM and SIGHUP during the block instead of raising in the middle of a transaction.

    A hang-up that follows another interruption is not collected: a shell and the system both send it, and mean no more
    than the first time. A Ctrl-C that came before, and that a library swallowed, is there from the start. In another
    thread than the main one there is nothing to collect: Python raises there, and nowhere else.
    """
    received: list[int] = [signal.SIGINT] if was_interrupted() else []
    if threading.current_thread() is not threading.main_thread():
        yield received
        return

    def note(number: int, _frame: FrameType | None) -> None:
        if number == HANG_UP:
            _leave_lost_terminal()
            if received:
                return
        received.append(number)

    before = {number: signal.signal(number, note) for number in listened_to()}
    try:
        yield received
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def _leave_lost_terminal() -> None:
    """Let what is still to be printed go nowhere if the terminal is no longer there, where it would be an error."""
    import termios

    for descriptor in range(3):
        try:
            termios.tcgetattr(descriptor)
        except termios.error as error:
            if error.args[0] == errno.EIO:
                with suppress(OSError):
                    nothing = os.open(os.devnull, os.O_RDWR)
                    os.dup2(nothing, descriptor)
                    os.close(nothing)


class _Raising:
    """Raises at Ctrl-C as Python does, and knows that it did: an import may swallow it, or fail of it in some way."""

    def __init__(self) -> None:
        self.raised = False

    def __call__(self, _number: int, _frame: FrameType | None) -> NoReturn:
        self.raised = True
        raise KeyboardInterrupt


@contextmanager
def interruptions_remembered() -> Iterator[None]:
    """Let `was_interrupted` know, during the block, of every Ctrl-C that was raised."""
    if not _is_pythons():
        yield
        return
    signal.signal(signal.SIGINT, _Raising())
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, signal.default_int_handler)


def was_interrupted() -> bool:
    """Return whether Ctrl-C was pressed since `interruptions_remembered` began."""
    handler = signal.getsignal(signal.SIGINT)
    return isinstance(handler, _Raising) and handler.raised


@contextmanager
def ended_by_ctrl_c(code: int) -> Iterator[None]:
    """End the process at Ctrl-C during the block, without a trace: for imports, while nothing has begun."""
    if not _is_pythons():
        yield
        return

    def end(_number: int, _frame: FrameType | None) -> NoReturn:
        os._exit(code)

    signal.signal(signal.SIGINT, end)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, signal.default_int_handler)


def _is_pythons() -> bool:
    """Return whether Ctrl-C is what Python makes of it: neither ignored, as under nohup, nor somebody else's."""
    main = threading.current_thread() is threading.main_thread()
    return main and signal.getsignal(signal.SIGINT) is signal.default_int_handler
