"""`ditflow doctor`: what of this machine works, and what to do about what does not."""

from collections.abc import Callable, Iterator

from ditflow.doctor.backbones import look_at_embedded, look_at_presets
from ditflow.doctor.devices import look_at_devices, look_at_extras
from ditflow.doctor.finding import Finding
from ditflow.doctor.storage import look_at_codecs, look_at_storage
from ditflow.utils.versions import versions

LOOKS: dict[str, Callable[[], Iterator[Finding]]] = {
    "devices": look_at_devices,
    "video files": look_at_codecs,
    "folders": look_at_storage,
    "optional packages": look_at_extras,
    "embedded models": look_at_embedded,
    "a fit by preset": look_at_presets,
}
"""By heading; what takes longest comes last."""


def doctor() -> int:
    """Look at devices, video formats, folders, packages and models, and try the embedded ones.

    Nothing is downloaded. A line that begins with FAIL keeps the embedded models from running; one
    with note limits something else. Both say what to do. The plans of the presets' models take
    half a minute once.

    Returns:
        0 if the embedded models can run, otherwise 1.
    """
    print("versions")
    for name, version in versions().items():
        print(Finding(name, version))
    failed = 0
    for heading, look in LOOKS.items():
        print(f"\n{heading}", flush=True)
        for finding in look():
            print(finding, flush=True)
            failed += finding.fatal
    print(f"\n{failed} failed: see FAIL above." if failed else "\nThe embedded models can run.")
    return 1 if failed else 0
