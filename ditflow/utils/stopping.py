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


@contextmanager
def signals_as_interrupt() -> Iterator[None]:
    """Context in which the first of `SIGNALS` is Ctrl-C, and the second ends the process.

    What is ignored, as `nohup` and shells have it for what is to go on, stays so. An error that a
    library has made of the interrupt is one again, but for Lightning's exit.
    """
    if threading.current_thread() is not threading.main_thread():
        yield  # signals are the main thread's
        return
    asked = False

    def interrupt(number: int, frame: FrameType | None) -> None:
        nonlocal asked
        if not asked:  # the others are `_end_at_the_second`'s
            asked = True
            raise KeyboardInterrupt

    before = {each: signal.getsignal(each) for each in _heeded()}
    reader, writer = socket.socketpair()
    writer.setblocking(False)
    threading.Thread(target=_end_at_the_second, args=(reader,), daemon=True).start()
    told = signal.set_wakeup_fd(writer.fileno(), warn_on_full_buffer=False)
    try:
        for each in before:
            signal.signal(each, interrupt)
        yield
    except (Exception, SystemExit) as error:
        exits = isinstance(error, SystemExit) and isinstance(error.__context__, KeyboardInterrupt)
        if asked and not exits:
            raise KeyboardInterrupt from error
        raise
    finally:
        for each, handler in before.items():
            signal.signal(each, handler)
        signal.set_wakeup_fd(told)
        writer.close()


def end_at_signals() -> None:
    """Have any of `SIGNALS` end this process, before a command has begun and after it has ended:
    there is nothing to be saved, and an exception in the midst of an import, or of Python's own
    end, is at times printed, lost, or waited for without end."""
    for each in _heeded():
        signal.signal(each, lambda number, frame: _end("stopped."))


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
                _end("stopped at once.")


def _end(said: str) -> None:
    with suppress(OSError):
        os.write(2, f"\nditflow: {said}\n".encode())
    os._exit(STOPPED)
