"""`ditflow app`: the server."""

import ipaddress
import logging
import os
import tempfile
import threading
from collections.abc import Sequence
from importlib.util import find_spec
from pathlib import Path

from ditflow.app.queue import Jobs
from ditflow.app.shipped_examples import examples
from ditflow.app.uploads import REFERENCES
from ditflow.errors import DitflowError, reason_of
from ditflow.runs.claim import claim
from ditflow.settings.options import over_default
from ditflow.settings.parsing import CommandParser
from ditflow.settings.stacked import read_settings
from ditflow.utils.shipped import embedded_backbones

log = logging.getLogger(__name__)


def app(args: Sequence[str]) -> int:
    """Fit motions and reuse them on a page in the browser.

    The page starts the same commands as a shell would, `preview`, `fit` and `predict`, one at a
    time, and shows them. All that they make is in the output folder, and what is there from earlier
    can be used again. Only this machine can reach the page unless --host says otherwise.

    Returns:
        0, once it is ended by Ctrl-C.
    """
    given = app_parser().parse_args(list(args))
    if find_spec("gradio") is None:
        raise DitflowError('app needs the package gradio: pip install "ditflow[app]".')
    for name in ("max_upload_mb", "max_frames"):
        if given[name] < 1:
            raise DitflowError(f"{name}={given[name]} must be at least 1.")
    configs = over_default(given.config or [])
    settings = read_settings(*configs)
    users = None if given.auth is None else read_users(given.auth)
    root = given.output
    embedded = settings.backbone_name in embedded_backbones()
    with claim(root), tempfile.TemporaryDirectory() as uploads:
        # Before gradio is imported, which reads these then.
        os.environ |= {"GRADIO_ANALYTICS_ENABLED": "False", "GRADIO_TEMP_DIR": uploads}
        from ditflow.app.handlers import Handlers
        from ditflow.app.interface import build
        from ditflow.app.serving import serve

        offered = examples(given.references, embedded, root / REFERENCES)
        jobs = Jobs(root)
        page = build(Handlers(jobs, configs, settings, offered, given.max_frames))
        shown = [root, *(example.video for example in offered)]
        try:
            address = serve(page, shown, given.host, given.port, given.max_upload_mb, users)
            print(f"ditflow app: {address} (output in {root}; Ctrl-C ends it)", flush=True)
            if not is_loopback(given.host):
                log.warning(
                    "Whoever can reach port %d of this machine can use the app%s.",
                    given.port,
                    " with a password" if users else " and read its output; see --auth",
                )
            threading.Event().wait()
        except KeyboardInterrupt:
            print("ditflow app: ended.")
        finally:
            jobs.close()
            page.close(verbose=False)
    return 0


def app_parser() -> CommandParser:
    """Of the command line."""
    parser = CommandParser(prog="ditflow app", description=app.__doc__)
    parser.add_presets()
    parser.add_argument(
        "--output", type=Path, default=Path("runs/app"), help="Folder of all that is made."
    )
    parser.add_argument(
        "--references",
        type=str,
        help="To choose from: a folder of videos, or a benchmark's manifest. Drawn ones by default "
        "where the backbone is embedded.",
    )
    parser.add_argument("--host", type=str, default="127.0.0.1", help="Address to listen on.")
    parser.add_argument("--port", type=int, default=7860)
    parser.add_argument(
        "--auth", type=Path, help="File of who may use it, one `user:password` a line."
    )
    parser.add_argument(
        "--max-upload-mb", type=int, default=50, help="Size of an uploaded file at most."
    )
    parser.add_argument(
        "--max-frames", type=int, default=3000, help="Of an uploaded reference or mask at most."
    )
    return parser


def read_users(path: Path) -> list[tuple[str, str]]:
    """Names and passwords of a file, one `user:password` a line.

    Raises:
        DitflowError: it cannot be read, or holds none.
    """
    try:
        lines = path.read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise DitflowError(f"auth={path} cannot be read ({reason_of(error)}).") from error
    users = [tuple(line.strip().split(":", 1)) for line in lines if line.strip()]
    if not users or not all(len(user) == 2 and all(user) for user in users):
        raise DitflowError(f"auth={path} must have lines of the form user:password.")
    return users


def is_loopback(host: str) -> bool:
    """Whether only this machine reaches what listens on an address."""
    try:
        return host == "localhost" or ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False
