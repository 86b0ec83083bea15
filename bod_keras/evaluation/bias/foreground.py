"""Where the actor of a clip is: from boxes, or from videos of masks."""

from __future__ import annotations

import collections
import dataclasses
import os
from pathlib import PurePath

import numpy as np

from bod_keras.data import ClipDataset, Record, even_views, open_store
from bod_keras.data.augment.augment import augmentation
from bod_keras.data.record_frames import record_frames
from bod_keras.data.video.video_file import VideoError
from bod_keras.errors import UserError

_NEAR = 12  # frames from a frame with a box to one that takes it over


class Foreground:
    """Masks of the clips of a data set: 1 where a box or a mask file shows the actor.

    Args:
        data: the clips, one centered view of each video.
        masks: folder with a video, or a folder of frames, for each video, of its name without the ending:
            white on black, and of as many frames. Where videos or masks of several folders have one name,
            their folders' names must agree, too. Empty: the boxes of the records.

    Attributes:
        missing: from the path of a video that has no mask, or none that can be used, to the reason; known when
            `of` was asked for it. Empty with boxes.

    Raises:
        ValueError: there is neither a box nor a mask file.

    Example:
        >>> import numpy as np
        >>> from bod_keras.data import Box, ClipDataset, array_records
        >>> from bod_keras.evaluation.bias import Foreground
        >>> import dataclasses
        >>> (record,) = array_records(np.zeros((1, 4, 8, 12, 3), np.uint8))
        >>> boxes = tuple(Box((0.5, 0.0, 1.0, 1.0), frame=t) for t in range(4))
        >>> record = dataclasses.replace(record, boxes=boxes)
        >>> data = ClipDataset([record], frames=4, size=8, workers=0, batch_size=1)
        >>> mask = Foreground(data).of([0])[0]  # columns 6 to 11 of 12, of which a clip shows 2 to 9
        >>> mask.shape, mask[0, 0].astype(int).tolist()
        ((4, 8, 8), [0, 0, 0, 0, 1, 1, 1, 1])
    """

    def __init__(self, data: ClipDataset, masks: str | os.PathLike = ""):
        self._data = data
        self._store = open_store(data.records)
        self._files = _mask_files(masks) if masks else None
        paths = {record.path for record in data.records}
        self._alike = collections.Counter(PurePath(path).stem for path in paths)
        self.missing: dict[str, str] = {}
        known = [i for i, record in enumerate(data.records) if self._has(record)]
        if not known:
            raise UserError(
                "None of the videos has a mask file of its name"
                f" in {masks}. Name them as the videos, without their ending."
                if masks
                else "None of the videos has a box with a frame number. Give boxes, or a folder of masks."
            )

    def of(self, index: list[int]) -> list[np.ndarray | None]:
        """Return the masks of videos, float32 (T, H, W) in [0, 1] each; None where the actor is not known.

        Args:
            index: positions in the records of the data.
        """
        if self._files is not None:
            return self._from_files(index)
        return [self._from_boxes(self._data.records[i]) for i in index]

    def _has(self, record: Record) -> bool:
        if self._files is not None:
            return self._mask_of(record) is not None
        return any(box.frame is not None for box in record.boxes)

    def _mask_of(self, record: Record) -> str | None:
        """The mask file of a video, by its name, and by its folder's where that is not enough."""
        path = PurePath(record.path)
        files = self._files.get(path.stem, [])
        if len(files) > 1 or self._alike[path.stem] > 1:
            files = [file for file in files if PurePath(file).parent.name == path.parent.name]
        return files[0] if len(files) == 1 else None

    def _from_files(self, index):
        masks: dict[int, Record] = {}
        for i in index:
            record = self._data.records[i]
            file = self._mask_of(record)
            if file is None:
                self.missing[record.path] = "there is no mask file of its name, or several"
            else:
                masks[i] = Record(file, span=record.span)
        found: dict[int, np.ndarray] = {}
        there = [i for i in masks if self._as_long(self._data.records[i], masks[i])]
        if there:
            loading = dataclasses.replace(self._data.loading, workers=0, max_bad_share=1.0)
            records = [masks[i] for i in there]
            data = ClipDataset(records, self._data.clips, loading, batch_size=1)
            for batch in data.evaluation_numpy():
                for row, views in zip(batch["index"], batch["views"]):
                    found[there[int(row)]] = (views[0].mean(axis=-1) > 0.5).astype("float32")
        return [found.get(i) for i in index]

    def _as_long(self, record: Record, mask: Record) -> bool:
        """Whether a mask has as many frames as its video; if not, or if it cannot be read, it is noted."""
        try:
            _, length = record_frames(self._store, record)
        except VideoError:  # the clip says why
            return False
        try:
            _, number = record_frames(open_store([mask]), mask)
        except VideoError as error:
            self.missing[record.path] = f"its mask cannot be read: {error}"
            return False
        if number != length:
            self.missing[record.path] = f"its mask has {number} frames, the video {length}"
        return number == length

    def _from_boxes(self, record):
        known = sorted({box.frame for box in record.boxes if box.frame is not None})
        if not known:
            return None
        clips, known = self._data.clips, np.array(known)
        try:
            info = self._store.measure(record.path)
            first, length = record_frames(self._store, record)
        except VideoError:  # the clip says why
            return None
        frames = first + even_views(length, clips.frames, clips.stride, 1)[0]
        center = augmentation("none", clips.size)
        shown = center.draw_box(info.height, info.width, np.random.default_rng(0))
        mask = np.zeros((clips.frames, clips.size, clips.size), "float32")
        for t, frame in enumerate(frames):
            nearest = known[np.abs(known - frame).argmin()]
            if abs(nearest - frame) > _NEAR:
                return None
            for box in record.boxes:
                if box.frame == nearest:
                    _draw(mask[t], box.corners, (info.height, info.width), shown)
        return mask


def _draw(mask, corners, frame, shown):
    """Fill a box of a frame (height, width) into the mask of the part of it that is shown."""
    top, left, tall, wide = shown
    size = mask.shape[0]
    height, width = frame
    columns = [(share * width - left) * size / wide for share in corners[::2]]
    rows = [(share * height - top) * size / tall for share in corners[1::2]]
    (x1, x2), (y1, y2) = (np.clip(np.rint(pair), 0, size).astype(int) for pair in (columns, rows))
    mask[y1:y2, x1:x2] = 1.0


def _mask_files(folder: str | os.PathLike) -> dict[str, list[str]]:
    """Name without its ending -> files or folders of frames, in a folder and those below it."""
    if not os.path.isdir(folder):
        raise UserError(
            f"masks must be a folder of videos or of folders of frames. Received: {folder}"
        )
    found: dict[str, list[str]] = collections.defaultdict(list)
    for place, folders, files in os.walk(folder):
        if not folders and files and all(f.endswith((".png", ".jpg", ".jpeg")) for f in files):
            found[os.path.basename(place)].append(place)
        else:
            for file in files:
                found[PurePath(file).stem].append(os.path.join(place, file))
    return found
