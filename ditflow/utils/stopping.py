"""Ctrl-C, and the signals that end a command as cleanly; a second one ends it at once."""

import os
import signal
import socket
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from types import FrameType

STOPPED = 130
"""Exit status of what was stopped."""

SIGNALS = tuple(
    getattr(signal, name)
    for name in ("SIGINT", "SIGTERM", "SIGHUP", "SIGBREAK")
    if hasattr(signal, name)
)
"""Ctrl-C; how schedulers and spot instances stop a job; a dropped connection; on Windows, how the
app stops a command."""

APART = 1.0
"""Seconds from which on two signals are two requests: who is told to stop is often told twice, by
the terminal and by what started it. Two Ctrl-Cs always are."""


class Stop:
    """Whether a signal has asked a command to stop."""

    asked = False

    def interrupt(self, number: int, frame: FrameType | None) -> None:
        """Handler of a signal: the first is Ctrl-C, the others are `_end_at_the_second`'s."""
        if not self.asked:
            self.asked = True
            raise KeyboardInterrupt


@contextmanager
def signals_as_interrupt() -> Iterator[Stop]:
    """Context in which the first of `SIGNALS` is Ctrl-C, and the second ends the process.

    What is ignored, as `nohup` and shells have it for what is to go on, stays so.
    """
    stop = Stop()
    if threading.current_thread() is not threading.main_thread():
        yield stop  # signals are the main thread's
        return
    before = {each: signal.getsignal(each) for each in _heeded()}
    reader, writer = socket.socketpair()
    writer.setblocking(False)
    threading.Thread(target=_end_at_the_second, args=(reader,), daemon=True).start()
    told = signal.set_wakeup_fd(writer.fileno(), warn_on_full_buffer=False)
    try:
        for each in before:
            signal.signal(each, stop.interrupt)
        yield stop
    finally:
        for each, handler in before.items():
            signal.signal(each, handler)
        signal.set_wakeup_fd(told)
        writer.close()


def end_at_signals() -> None:
    """Have any of `SIGNALS` end this process without a word: there is nothing to be saved, before a
    command has begun and after it has ended, and Python's own end would print tracebacks."""
    for each in _heeded():
        signal.signal(each, lambda number, frame: os._exit(STOPPED))


def _heeded() -> list[signal.Signals]:
    """Those that are not ignored, nor handled by what is not Python."""
    return [each for each in SIGNALS if signal.getsignal(each) not in (signal.SIG_IGN, None)]


def _end_at_the_second(reader: socket.socket) -> None:
    """End the process at the second signal, whatever its main thread is busy with, and whoever
    would handle an exception there; locks end with it.

    Args:
        reader: of the signals' numbers, as the system delivers them.
    """
    first: tuple[int, float] | None = None
    with reader:
        while number := reader.recv(1):
            if number[0] not in SIGNALS:
                continue
            now = time.monotonic()
            if first is None:
                first = number[0], now
            elif number[0] == first[0] == signal.SIGINT or now - first[1] > APART:
                with suppress(OSError):
                    os.write(2, b"\nditflow: stopped at once.\n")
                os._exit(STOPPED)
