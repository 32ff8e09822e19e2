"""The parts of a run that are not the optimisation itself, one a file."""

from ditflow.callbacks.denoising_schedule import DenoisingSchedule
from ditflow.callbacks.embedding_checkpoint import EmbeddingCheckpoint
from ditflow.callbacks.guided_progress_bar import GuidedProgressBar
from ditflow.callbacks.kv_injection import KVInjection
from ditflow.callbacks.media_logger import MediaLogger
from ditflow.callbacks.progress_file import ProgressFile
from ditflow.callbacks.stop_notice import StopNotice
from ditflow.callbacks.video_writer import VideoWriter

__all__ = [
    "DenoisingSchedule",
    "EmbeddingCheckpoint",
    "GuidedProgressBar",
    "KVInjection",
    "MediaLogger",
    "ProgressFile",
    "StopNotice",
    "VideoWriter",
]
