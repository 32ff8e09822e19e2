"""A first signal stops a command, a second ends it at once."""

import signal
import subprocess
import sys
from contextlib import suppress
from pathlib import Path

import pytest

from ditflow.runs.claim import claim
from ditflow.utils.stopping import SIGNALS, signals_as_interrupt

REPOSITORY = Path(__file__).parents[2]


@pytest.mark.parametrize("number", SIGNALS)
def test_each_is_ctrl_c_and_means_what_it_meant_after_it(number):
    if signal.getsignal(number) == signal.SIG_IGN:
        pytest.skip("ignored here, as under nohup, and so it stays")
    before = [signal.getsignal(each) for each in SIGNALS]
    with pytest.raises(KeyboardInterrupt), signals_as_interrupt():
        signal.raise_signal(number)
    assert [signal.getsignal(each) for each in SIGNALS] == before
    assert signal.set_wakeup_fd(-1) == -1


def end(made, interrupted):
    with suppress(KeyboardInterrupt):
        if interrupted:
            signal.raise_signal(signal.SIGINT)
    raise made


@pytest.mark.parametrize("made", [RuntimeError, SystemExit])
def test_what_a_library_made_of_it_is_one_again(made):
    with pytest.raises(KeyboardInterrupt), signals_as_interrupt():
        end(made, interrupted=True)
    with pytest.raises(made), signals_as_interrupt():
        end(made, interrupted=False)


def test_what_is_ignored_stays_so():
    before = signal.signal(
        signal.SIGTERM, signal.SIG_IGN
    )  # as nohup does with a dropped connection
    try:
        with signals_as_interrupt():
            signal.raise_signal(signal.SIGTERM)
    finally:
        signal.signal(signal.SIGTERM, before)


BUSY = """
import hashlib, sys, time
from contextlib import suppress
from pathlib import Path
from ditflow.runs.claim import claim
from ditflow.utils.stopping import signals_as_interrupt
with signals_as_interrupt(), claim(Path(sys.argv[1])):
    with suppress(KeyboardInterrupt):
        print("ready", flush=True)
        time.sleep(60)
    print("stopping", flush=True)
    hashlib.pbkdf2_hmac("sha256", b"", b"", 2**31 - 1)  # as a pass on a CPU, one operation
"""


def test_a_second_one_ends_what_cannot_be_interrupted(tmp_path):
    pipe, given = subprocess.PIPE, [sys.executable, "-c", BUSY, str(tmp_path / "out")]
    child = subprocess.Popen(given, stdout=pipe, stderr=pipe, text=True, cwd=REPOSITORY)
    for said in ("ready\n", "stopping\n"):
        assert child.stdout.readline() == said
        child.send_signal(signal.SIGINT)
    _, error = child.communicate(timeout=60)
    assert (child.returncode, error) == (130, "\nditflow: stopped at once.\n")
    with claim(tmp_path / "out"):
        pass
