"""UCF101 in small: real files, official lists of three splits, and a tiny model to evaluate on it."""

import dataclasses

import numpy as np

from bod_keras.data import ClipDataset, read_dataset
from bod_keras.evaluation.protocols import Split
from tests.data.datasets.trees import write_files
from tests.video_files import make_ramp_clip, save_video

CLASSES = ("ApplyEyeMakeup", "Archery", "HandstandPushups")
GROUPS = 6


def write_ucf101(folder):
    """Three classes of gray levels that overlap, six groups each, of which a split tests two."""
    rng = np.random.default_rng(0)
    lists = {"classInd.txt": "".join(f"{n} {name}\n" for n, name in enumerate(CLASSES, start=1))}
    for fold in (1, 2, 3):
        lists[f"trainlist0{fold}.txt"] = lists[f"testlist0{fold}.txt"] = ""
    for number, name in enumerate(CLASSES, start=1):
        (folder / "UCF-101" / name).mkdir(parents=True)
        for group in range(GROUPS):
            file = f"{name}/v_{name}_g{group + 1:02d}_c01.avi"
            clip = make_ramp_clip(12, offset=40 * number + 11 * group)
            noise = rng.integers(0, 40, clip.shape, dtype=np.uint8)
            save_video(folder / "UCF-101" / file, clip // 2 + noise)
            for fold in (1, 2, 3):
                part = "test" if group // 2 == fold - 1 else "train"
                label = f" {number}" if part == "train" else ""
                lists[f"{part}list0{fold}.txt"] += f"{file}{label}\n"
    return str(folder / "UCF-101"), write_files(folder / "lists", lists)


def read_splits(tree, fold=1, **settings):
    """The two `Split`s of an official split, with clips of 4 frames and 8 x 8 pixels."""
    settings = {"frames": 4, "size": 8, "batch_size": 4, "views": 1, "workers": 0, **settings}

    def make_data(catalog, **changes):
        chosen = {**settings, **changes}
        chosen["batch_size"] = min(chosen["batch_size"], len(catalog.records))
        return ClipDataset(catalog.records, **chosen)

    catalog = read_dataset("ucf101", *tree, fold=fold)
    return [
        Split(
            dataclasses.replace(catalog, records=[r for r in catalog.records if r.split == part]),
            make_data,
            part,
        )
        for part in ("train", "test")
    ]
