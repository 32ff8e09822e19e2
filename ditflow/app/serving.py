"""Serve the page, to whom it is meant for, with nothing from anywhere else."""

from collections.abc import Sequence
from pathlib import Path

import gradio as gr
from starlette.middleware import Middleware
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from ditflow.errors import DitflowError
from ditflow.pages.templating import render

POLICY = (
    "default-src 'self'; script-src 'self' 'unsafe-inline' 'unsafe-eval'; "
    "style-src 'self' 'unsafe-inline'; img-src 'self' data: blob:; media-src 'self' data: blob:; "
    "font-src 'self' data:; connect-src 'self'; worker-src 'self' blob:; object-src 'none'; "
    "base-uri 'self'; form-action 'self'; frame-ancestors 'self'"
)
"""What a browser may load and where from. Gradio's own scripts are inline, and some of them compile
templates."""


class OwnSourcesOnly:
    """Has browsers refuse whatever the page does not have from this server."""

    def __init__(self, app: ASGIApp):
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        async def send_with_policy(message: Message) -> None:
            if message["type"] == "http.response.start":
                policy = (b"content-security-policy", POLICY.encode())
                message["headers"] = [*message.get("headers", []), policy]
            await send(message)

        await self.app(scope, receive, send_with_policy if scope["type"] == "http" else send)


def serve(
    page: gr.Blocks,
    shown: Sequence[Path],
    host: str,
    port: int,
    max_upload_mb: int,
    users: list[tuple[str, str]] | None,
) -> str:
    """Serve a page in threads of its own.

    Args:
        page: to serve.
        shown: files and folders that the page may show.
        host, port: to listen on.
        max_upload_mb: size of an upload at most.
        users: names and passwords of who may use it; None for everybody.

    Returns:
        the address.

    Raises:
        DitflowError: the port is taken, or the address is not this machine's.
    """
    theme = gr.themes.Default(  # quiet, in the fonts that the system has
        primary_hue="blue",
        neutral_hue="slate",
        font=("system-ui", "Segoe UI", "Roboto", "Liberation Sans", "sans-serif"),
        font_mono=("ui-monospace", "Consolas", "Liberation Mono", "monospace"),
    )
    try:
        _, address, _ = page.launch(
            server_name=host,
            server_port=port,
            auth=users,
            max_file_size=max_upload_mb * 2**20,
            allowed_paths=[str(path.resolve()) for path in shown],
            app_kwargs={"middleware": [Middleware(OwnSourcesOnly)]},
            theme=theme,
            css=render("app-style.html"),
            head=render("app-head.html"),
            footer_links=[],
            run_history=False,
            share=False,
            ssr_mode=False,
            mcp_server=False,
            enable_monitoring=False,
            pwa=False,
            inbrowser=False,
            quiet=True,
            prevent_thread_lock=True,
        )
    except OSError as error:
        raise DitflowError(
            f"port={port} of host={host} cannot be listened on; it may be taken: give another by "
            "--port."
        ) from error
    return address
