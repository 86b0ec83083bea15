"""Every condition of the static-bias suite, from the clips of a batch."""

from __future__ import annotations

import os
from pathlib import Path

import cv2
import numpy as np
from keras import ops

from bod_keras.data.augment.crops import cut_out
from bod_keras.data.video.decode_image import decode_image
from bod_keras.errors import UserError
from bod_keras.evaluation.bias.flow_noise import flow_noise
from bod_keras.evaluation.bias.foreground import Foreground
from bod_keras.evaluation.bias.stripes import stripes
from bod_keras.evaluation.sensitivity import shuffle_frames
from bod_keras.views.background_swap import BackgroundSwap

_LEAST, _MOST = 0.01, 0.95  # of a clip that its actor may fill
_STILLS = 32  # backgrounds of other classes that wait for an actor
_PICTURES = (".jpg", ".jpeg", ".png", ".bmp", ".webp")


class ChangedClips:
    """Changes clips on purpose: order, background, actor, appearance.

    Args:
        foreground: where the actor is; None: conditions that need it are left out.
        photos: folder of pictures for backgrounds; empty: stripes alone.
        appearance_free: whether flow-warped noise is made.
        swap_threshold: of `BackgroundSwap`.
        seed: of every draw.

    Attributes:
        replaced: share of the pixels that another background replaced, one a clip.

    Example:
        >>> import numpy as np
        >>> from bod_keras.evaluation.bias.changed_clips import ChangedClips
        >>> clips = np.random.default_rng(0).random((2, 4, 16, 16, 3), "float32")
        >>> made = ChangedClips().of(clips, [0, 1], [0, 1])
        >>> list(made), bool((made["first_frame"][0][:, 3] == clips[:, 0]).all())
        (['ordered', 'shuffled', 'first_frame', 'background', 'appearance_free'], True)
    """

    def __init__(
        self,
        foreground: Foreground | None = None,
        photos: str | os.PathLike = "",
        appearance_free: bool = True,
        swap_threshold: float = 0.08,
        seed: int = 0,
    ):
        self._foreground, self._appearance_free = foreground, appearance_free
        self._swap = BackgroundSwap(swap_threshold)
        self._photos = _pictures(photos) if photos else []
        self._rng = np.random.default_rng(seed)
        self._stills: list[tuple[int, np.ndarray]] = []
        self._partner: np.ndarray | None = None
        self.replaced: list[float] = []

    def of(self, clips: np.ndarray, index: list[int], labels: list[int]) -> dict[str, tuple]:
        """Return the changed clips of a batch.

        Args:
            clips: (B, T, H, W, 3) in [0, 1].
            index: which videos they are, positions in the records of `foreground`.
            labels: their classes.

        Returns:
            From a condition to clips (b, T, H, W, 3), their b rows in the batch, and for `"action_swap"` the
            classes of the backgrounds.
        """
        rows = np.arange(len(clips))
        partner = clips[:1] if self._partner is None else self._partner
        self._partner = clips[-1:]
        swapped = ops.convert_to_numpy(self._swap(np.concatenate([clips, partner])))[: len(clips)]
        self.replaced += (swapped != clips).any(axis=-1).mean(axis=(1, 2, 3)).tolist()
        made = {
            "ordered": (clips, rows),
            "shuffled": (shuffle_frames(clips, self._rng), rows),
            "first_frame": (still(clips, 0), rows),
            "background": (swapped, rows),
        }
        if self._appearance_free:
            made["appearance_free"] = (np.stack([flow_noise(c, self._rng) for c in clips]), rows)
        return made | self._by_actor(clips, index, labels)

    def _by_actor(self, clips, index, labels) -> dict[str, tuple]:
        masks = self._foreground.of(index) if self._foreground else [None] * len(clips)
        rows = [r for r, m in enumerate(masks) if m is not None and _LEAST <= m.mean() <= _MOST]
        if not rows:
            return {}
        mask = np.stack([masks[r] for r in rows])[..., None]
        clips, labels = clips[rows], [labels[r] for r in rows]
        size, middle = clips.shape[2], clips.shape[1] // 2

        def over(backgrounds):
            return clips * mask + backgrounds * (1 - mask)

        made = {}
        sorts = {"stripes": lambda: stripes(size, self._rng)}
        if self._photos:
            sorts["photos"] = lambda: _photo(self._photos, size, self._rng)
        for sort, draw in sorts.items():
            scuba = over(np.stack([draw() for _ in rows])[:, None])
            made[f"scuba_{sort}"] = (scuba, rows)
            made[f"scufo_{sort}"] = (still(scuba, middle), rows)
        mean = clips.mean(axis=(1, 2, 3), keepdims=True)
        scenes = np.stack([_inpainted(c, m) for c, m in zip(clips, mask)])
        made["human_only"] = (over(np.broadcast_to(mean, clips.shape)), rows)
        made["background_only"] = (scenes, rows)
        self._stills += list(zip(labels, scenes[:, middle].copy()))
        found = [self._other_scene(label) for label in labels]
        swapped = [r for r, scene in enumerate(found) if scene is not None]
        if swapped:
            chosen = [found[r] for r in swapped]
            scenes = np.stack([scene for _, scene in chosen])[:, None]
            acting = clips[swapped] * mask[swapped] + scenes * (1 - mask[swapped])
            made["action_swap"] = (acting, [rows[r] for r in swapped], [c for c, _ in chosen])
        self._stills = self._kept()
        return {name: (c.astype("float32"), *rest) for name, (c, *rest) in made.items()}

    def _other_scene(self, label):
        others = [one for one in self._stills if one[0] != label]
        return others[self._rng.integers(len(others))] if others else None

    def _kept(self):
        """The newest of each class, so that every class finds another one."""
        classes = {label for label, _ in self._stills}
        most = max(1, _STILLS // len(classes))
        return [
            one
            for label in sorted(classes)
            for one in [s for s in self._stills if s[0] == label][-most:]
        ]


def still(clips: np.ndarray, frame: int) -> np.ndarray:
    """Repeat one frame of each clip (B, T, H, W, C) in all of them."""
    return np.repeat(clips[:, frame : frame + 1], clips.shape[1], axis=1)


def _inpainted(clip, mask):
    """Each frame without its actor, filled from the edge inwards (Telea)."""
    frames = []
    for frame, hidden in zip(clip, mask):
        image, hole = np.uint8(255 * frame + 0.5), np.uint8(hidden[..., 0] > 0.5)
        frames.append(cv2.inpaint(image, hole, 3, cv2.INPAINT_TELEA))
    return np.stack(frames).astype("float32") / 255


def _pictures(folder) -> list[Path]:
    found = sorted(p for p in Path(folder).rglob("*") if p.suffix.lower() in _PICTURES)
    if not found:
        raise UserError(
            f"photos must be a folder with pictures ({', '.join(_PICTURES)}). Received: {folder}"
        )
    return found


def _photo(files, size, rng) -> np.ndarray:
    """The centered square of a picture, float32 (size, size, 3)."""
    file = files[rng.integers(len(files))]
    try:
        image = decode_image(file.read_bytes())
    except (OSError, ValueError) as error:
        raise UserError(
            f"The picture {str(file)!r} cannot be read: it {error}. Remove it."
        ) from None
    side = min(image.shape[:2])
    top, left = ((length - side) // 2 for length in image.shape[:2])
    return cut_out(image, (top, left, side, side), size).astype("float32") / 255
