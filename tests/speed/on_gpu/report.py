"""What sections find: printed as it comes, and kept as JSON whatever happens to the next."""

import gc
import json
import signal
import time
import traceback
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from types import FrameType
from typing import Any

import torch

from ditflow.errors import reason_of
from ditflow.utils.files import write_text
from ditflow.utils.versions import versions


class OutOfTime(BaseException):
    """A section's time is up, which is no library's to catch."""


class LeftOut(Exception):
    """A section has nothing to do here; it says why."""


class Report:
    """Sections of figures, some of them with a goal.

    Args:
        path: of the JSON file, written anew after each section.
        device: what is measured.
        limit: seconds that all sections have together.
    """

    def __init__(self, path: Path, device: torch.device, limit: float):
        self.path, self.device, self.limit = path, device, limit
        self.started = time.monotonic()
        self.sections: dict[str, dict[str, Any]] = {}
        self.now: dict[str, Any] = {}

    def say(self, *words: object) -> None:
        print(f"[{time.monotonic() - self.started:6.1f}s]", *words, flush=True)

    def figure(self, name: str, measured: Any, goal: str = "", passed: bool | None = None) -> None:
        """A measured value; `passed` where there is a goal that can be judged on this device."""
        self.now["figures"][name] = {"measured": measured, "goal": goal, "passed": passed}
        shown = f"{measured:.4g}" if isinstance(measured, float) else measured
        verdict = {None: "    ", True: "PASS", False: "FAIL"}[passed]
        self.say(verdict, f"{name}: {shown}", f"(goal: {goal})" if goal else "")

    def at_most(self, name: str, measured: float, most: float) -> None:
        """A figure whose goal is of GPUs of this size: elsewhere it is not judged."""
        judged = measured <= most if self.device.type == "cuda" else None
        self.figure(name, measured, f"at most {most:g}", judged)

    @property
    def failed(self) -> list[str]:
        """Goals that were missed, and sections that did not end well."""
        ended = "done", "left out"
        return [
            *(name for name, section in self.sections.items() if section["status"] not in ended),
            *(
                f"{name}: {figure}"
                for name, section in self.sections.items()
                for figure, value in section["figures"].items()
                if value["passed"] is False
            ),
        ]

    def section(self, name: str, seconds: float, work: Callable[[], None]) -> None:
        """Run a section, for at most so many seconds; what it raises is kept, not passed on."""
        left = self.limit - (time.monotonic() - self.started)
        self.now = {"status": "done", "reason": "", "seconds": 0.0, "figures": {}}
        self.sections[name] = self.now
        began = time.monotonic()
        self.say(f"--- {name}")
        try:
            with _alarm(min(seconds, left)):
                work()
        except (LeftOut, OutOfTime) as error:
            status = "left out" if isinstance(error, LeftOut) else "out of time"
            self.now |= {"status": status, "reason": str(error)}
            self.say(f"     {name}: {status}, {error}")
        except Exception as error:
            self.now |= {"status": "failed", "reason": f"{type(error).__name__}: {error}"[:2000]}
            traceback.print_exc()
            self.say(f"FAIL {name}: {type(error).__name__}: {reason_of(error)}")
            traceback.clear_frames(error.__traceback__)  # which hold on to tensors
        self.now["seconds"] = round(time.monotonic() - began, 1)
        free()
        self.write()

    def write(self) -> None:
        whole = {
            "card": _card(self.device),
            "versions": versions() | {"cuDNN": str(torch.backends.cudnn.version())},
            "seconds": round(time.monotonic() - self.started, 1),
            "failed": self.failed,
            "sections": self.sections,
        }
        write_text(self.path, json.dumps(whole, indent=1))


def free() -> None:
    """Give back what no one holds any more."""
    gc.collect()
    if torch.cuda.is_available():
        torch.cuda.empty_cache()


def _card(device: torch.device) -> dict[str, Any]:
    if device.type != "cuda":
        return {"name": device.type}
    properties = torch.cuda.get_device_properties(device)
    return {"name": properties.name, "GiB": round(properties.total_memory / 2**30, 1)}


@contextmanager
def _alarm(seconds: float) -> Iterator[None]:
    """Context that ends with `OutOfTime` after so many seconds."""

    def ring(number: int, frame: FrameType | None) -> None:
        raise OutOfTime(f"it took more than its {seconds:.0f} s")

    if seconds <= 0:
        raise OutOfTime("no time is left")
    before = signal.signal(signal.SIGALRM, ring)
    signal.setitimer(signal.ITIMER_REAL, seconds)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)
