"""What a clip is, and how clips are loaded: the two specifications of a `ClipDataset`."""

from __future__ import annotations

import dataclasses
import math
from typing import Any

from bod_keras.data.augment.augment import augmentation
from bod_keras.data.processes.process_map import MOST_WORKERS, check_timeout
from bod_keras.errors import UserError, check_choice


@dataclasses.dataclass(frozen=True)
class ClipSpec:
    """Which clips are cut from a video, and how they are augmented.

    Args:
        frames: Frames of a clip, at least 2.
        stride: Distance of neighboring clip frames in the video.
        views: Clips of a training sample.
        size: Height and width of the clips in pixels.
        recipe: Name of the training augmentation, a key of `RECIPES`.
        flip: Probability of a flip in training. Defaults to the recipe's.
        augment: `"cpu"`, or `"device"`: then training clips are uint8, the centered squares of the
            frames in `device_size` pixels, and a layer augments them (`ClipDataset.augmenter`).
        device_size: Height and width of those squares. Defaults to `8 / 7 size`.

    Raises:
        ValueError: An argument is out of range.

    Example:
        >>> from bod_keras.data import ClipSpec
        >>> ClipSpec(frames=8, size=16).training_shape
        (2, 8, 16, 16, 3)
    """

    frames: int = 16
    stride: int = 1
    views: int = 2
    size: int = 112
    recipe: str = "cvrl"
    flip: float | None = None
    augment: str = "cpu"
    device_size: int | None = None

    def __post_init__(self):
        if self.frames < 2:
            raise UserError(
                "frames must be at least 2, because one frame has no motion. "
                f"Received: frames={self.frames}"
            )
        _check_ranges(self, frames=(2, 2**16), stride=(1, 2**16), views=(1, 1024), size=(1, 2**13))
        if self.device_size is not None:
            _check_ranges(self, device_size=(1, 2**13))
        check_choice("augment", self.augment, ("cpu", "device"))
        augmentation(**self.augmentation)

    @property
    def on_device(self) -> bool:
        """Whether a layer of the model augments."""
        return self.augment == "device"

    @property
    def augmentation(self) -> dict[str, Any]:
        """The arguments of `augmentation` for training."""
        flip = {} if self.flip is None else {"flip": self.flip}
        return {"name": self.recipe, "size": self.size, **flip}

    @property
    def training_shape(self) -> tuple[int, ...]:
        """Shape of the clips of a training sample."""
        size = self.size
        if self.on_device:
            size = self.device_size or math.ceil(size * 8 / 7)
        return (self.views, self.frames, size, size, 3)

    def evaluation_shape(self, views: int, crops: int) -> tuple[int, ...]:
        """Return the shape of the clips of an evaluation sample.

        Args:
            views: Clips of each video.
            crops: Crops of each clip, 1 or 3.

        Raises:
            ValueError: `views` is below 1, or `crops` neither 1 nor 3.

        Example:
            >>> from bod_keras.data import ClipSpec
            >>> ClipSpec(frames=8, size=16).evaluation_shape(views=10, crops=3)
            (30, 8, 16, 16, 3)
        """
        if views < 1:
            raise UserError(f"views must be at least 1. Received: views={views}")
        if crops not in (1, 3):
            raise UserError(f"crops must be 1 (the center) or 3. Received: crops={crops}")
        return (views * crops, self.frames, self.size, self.size, 3)


@dataclasses.dataclass(frozen=True)
class Loading:
    """How clips are loaded. Only broken files change which clips are given.

    Args:
        cache_mb: Decoded videos are kept in memory up to this many MiB, by all workers together.
        workers: Processes that read and augment; 0 does it in this process. Videos in memory
            (`array_records`) are always read in this process.
        timeout: Seconds after which a worker that reads a sample is given up, and its file with it.
        service: Addresses of servers that read and augment the training clips instead of `workers`,
            ``grpc://HOST:PORT`` with commas between (`python -m bod_keras.data serve`); empty for none.
        max_bad_share: The stream stops with an error when more than this share of the files is
            broken, and always when all are.

    Raises:
        ValueError: An argument is out of range.

    Example:
        >>> from bod_keras.data import Loading
        >>> Loading(workers=0).timeout
        120.0
    """

    cache_mb: float = 0
    workers: int = 2
    timeout: float = 120.0
    service: str = ""
    max_bad_share: float = 0.1

    def __post_init__(self):
        _check_ranges(self, workers=(0, MOST_WORKERS), cache_mb=(0, 2**24))
        check_timeout(self.timeout)
        if not 0 <= self.max_bad_share <= 1:
            raise UserError(
                f"max_bad_share must lie in [0, 1]. Received: max_bad_share={self.max_bad_share}"
            )


def with_settings(
    clips: ClipSpec | None, loading: Loading | None, settings: dict[str, Any]
) -> tuple[ClipSpec, Loading]:
    """Return both specifications, with single fields of either changed.

    Args:
        clips: Which clips; None for the defaults.
        loading: How to load; None for the defaults.
        settings: Fields of either, by name.

    Raises:
        TypeError: A name is a field of neither.

    Example:
        >>> from bod_keras.data.loading.clip_spec import with_settings
        >>> clips, loading = with_settings(None, None, {"frames": 8, "workers": 0})
        >>> clips.frames, loading.workers
        (8, 0)
    """
    of_clips = {field.name for field in dataclasses.fields(ClipSpec)}
    of_loading = {field.name for field in dataclasses.fields(Loading)}
    unknown = settings.keys() - of_clips - of_loading
    if unknown:
        raise TypeError(
            f"ClipDataset has no argument {sorted(unknown)[0]!r}. Expected a field of ClipSpec, "
            f"{', '.join(sorted(of_clips))}, or of Loading, {', '.join(sorted(of_loading))}"
        )
    return (
        dataclasses.replace(clips or ClipSpec(), **_chosen(settings, of_clips)),
        dataclasses.replace(loading or Loading(), **_chosen(settings, of_loading)),
    )


def _chosen(settings, names):
    return {name: value for name, value in settings.items() if name in names}


def _check_ranges(specification: ClipSpec | Loading, **ranges: tuple[int, int]) -> None:
    for name, (low, high) in ranges.items():
        value = getattr(specification, name)
        if not low <= value <= high:
            bound = f"at least {low}" if not value > high else f"at most {high}"
            raise UserError(f"{name} must be {bound}. Received: {name}={value}")
