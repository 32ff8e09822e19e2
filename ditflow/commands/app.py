"""`ditflow app`: the server."""

import ipaddress
import logging
import os
import tempfile
import threading
from collections.abc import Sequence
from importlib.util import find_spec
from pathlib import Path

from ditflow.app.jobs_in_turn import Jobs
from ditflow.app.shipped_examples import examples
from ditflow.app.uploads import REFERENCES
from ditflow.errors import DitflowError, reason_of
from ditflow.runs.claim import claim
from ditflow.settings.options import over_default
from ditflow.settings.stacked import read_settings
from ditflow.utils.shipped import embedded_backbones

log = logging.getLogger(__name__)


def app(
    *,
    config: Sequence[str] | None = None,
    output: Path = Path("runs/app"),
    references: str | None = None,
    host: str = "127.0.0.1",
    port: int = 7860,
    auth: Path | None = None,
    max_upload_mb: int = 50,
    max_frames: int = 3000,
) -> None:
    """Fit motions and reuse them on a page in the browser.

    The page starts the same commands as a shell would, `preview`, `fit` and `predict`, one at a
    time, and shows them. All that they make is in the output folder, and what is there from earlier
    can be used again. Only this machine can reach the page unless --host says otherwise. Ctrl-C
    ends it.

    Args:
        config: Presets, stacked.
        output: Folder of all that is made.
        references: To choose from: a folder of videos, or a benchmark's manifest. Drawn ones by
            default where the backbone is embedded.
        host: Address to listen on.
        auth: File of who may use it, one `user:password` a line.
        max_upload_mb: Size of an uploaded file at most.
        max_frames: Of an uploaded reference or mask at most.
    """
    if find_spec("gradio") is None:
        raise DitflowError('app needs the package gradio: pip install "ditflow[app]".')
    for name, most in (("max_upload_mb", max_upload_mb), ("max_frames", max_frames)):
        if most < 1:
            raise DitflowError(f"{name}={most} must be at least 1.")
    configs = over_default(config or [])
    settings = read_settings(*configs)
    users = None if auth is None else read_users(auth)
    embedded = settings.backbone_name in embedded_backbones()
    with claim(output), tempfile.TemporaryDirectory() as uploads:
        # Before gradio is imported, which reads these then.
        os.environ |= {"GRADIO_ANALYTICS_ENABLED": "False", "GRADIO_TEMP_DIR": uploads}
        from ditflow.app.handlers import Handlers
        from ditflow.app.interface import build
        from ditflow.app.serving import serve

        offered = examples(references, embedded, output / REFERENCES)
        jobs = Jobs(output)
        page = build(Handlers(jobs, configs, settings, offered, max_frames))
        shown = [output, *(example.video for example in offered)]
        try:
            address = serve(page, shown, host, port, max_upload_mb, users)
            print(f"ditflow app: {address} (output in {output}; Ctrl-C ends it)", flush=True)
            if not is_loopback(host):
                log.warning(
                    "Whoever can reach port %d of this machine can use the app%s.",
                    port,
                    " with a password" if users else " and read its output; see --auth",
                )
            threading.Event().wait()
        except KeyboardInterrupt:
            print("ditflow app: ended.")
        finally:
            jobs.close()
            page.close(verbose=False)


def read_users(path: Path) -> list[tuple[str, str]]:
    """Names and passwords of a file, one `user:password` a line.

    Raises:
        DitflowError: it cannot be read, or holds none.
    """
    try:
        lines = path.read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise DitflowError(f"auth={path} cannot be read ({reason_of(error)}).") from error
    parts = [line.strip().partition(":") for line in lines if line.strip()]
    if not parts or not all(user and password for user, _, password in parts):
        raise DitflowError(f"auth={path} must have lines of the form user:password.")
    return [(user, password) for user, _, password in parts]


def is_loopback(host: str) -> bool:
    """Whether only this machine reaches what listens on an address."""
    try:
        return host == "localhost" or ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False
