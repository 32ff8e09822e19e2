"""The paper's tracker, CoTracker3 (offline), through torch.hub."""

import torch

from ditflow.errors import DitflowError
from ditflow.functional.tracks import Tracks
from ditflow.metrics.tracker import Tracker, diagonal, grid_points

REPOSITORY, MODEL = "facebookresearch/co-tracker", "cotracker3_offline"


class CoTracker3(Tracker):
    """CoTracker3, downloaded by torch.hub on first use.

    Its weights are licensed CC-BY-NC: not for commercial use. Choosing it is the user's decision.

    Args:
        device: to track on; `auto` takes a GPU if there is one.

    Raises:
        DitflowError: it cannot be downloaded and torch.hub has no copy.
    """

    name = "cotracker3"

    def __init__(self, device: str = "auto"):
        self.device = device if device != "auto" else "cuda" if torch.cuda.is_available() else "cpu"
        try:
            model = torch.hub.load(REPOSITORY, MODEL, trust_repo=True, verbose=False)
        except Exception as error:  # torch.hub raises what its download or the repository raises
            reason = " ".join(str(error).split())
            raise DitflowError(
                f"tracker=cotracker3 could not be had ({type(error).__name__}: {reason}); download "
                f"it once with network (torch.hub, {REPOSITORY}), or use tracker=lucas-kanade."
            ) from error
        self.model = model.to(self.device).eval()

    @torch.no_grad()
    def track(self, frames: torch.Tensor, grid: int) -> Tracks:
        video = frames[None].to(self.device) * 255
        points = grid_points(frames, grid)
        queries = torch.cat([torch.zeros(len(points), 1), points], dim=1)[None]
        tracks, visible = self.model(video, queries=queries.to(self.device))
        return Tracks(
            tracks[0].transpose(0, 1).float().cpu(),
            visible.reshape(tracks.shape[1:3]).T.bool().cpu(),
            diagonal(frames),
        )
