"""What test_s3.py looks at, in a process of its own: s3:// by tensorflow-io. Prints one JSON object."""

import json
import sys
from pathlib import Path

import numpy as np
import tensorflow as tf

from bod_keras.data import (
    ClipDataset,
    Record,
    class_names,
    open_store,
    read_catalog,
    read_frames,
    write_shards,
)
from bod_keras.storage import remote
from bod_keras.storage.clean_exit import clean_exit
from bod_keras.training import RunFolder

BASE = "s3://bucket/set"


def error_of(call):
    try:
        call()
    except (OSError, ValueError) as error:
        return f"{type(error).__name__}: {error}"
    return None


def catalogs():
    def plain(source, **arguments):
        return [[record.path, record.label] for record in read_catalog(source, **arguments)]

    return {
        "tree": plain(f"{BASE}/tree"),
        "tree with a slash": plain(f"{BASE}/tree/") == plain(f"{BASE}/tree"),
        "classes": class_names(f"{BASE}/tree"),
        "bucket": len(read_catalog("s3://bucket")),
        "list": plain(f"{BASE}/list.txt"),
        "table": plain(f"{BASE}/table.csv", split="test"),
        "no folder": error_of(lambda: read_catalog("s3://bucket/nowhere")),
        "no bucket": error_of(lambda: read_catalog("s3://no-bucket/set")),
        "no video": error_of(lambda: read_catalog("s3://bucket/other")),
    }


def videos(folder):
    path, local = f"{BASE}/tree/run/a b [1] 100%.avi", folder / "a.avi"
    data = ClipDataset(
        read_catalog(f"{BASE}/list.txt"),
        frames=4,
        size=16,
        batch_size=2,
        recipe="none",
        max_bad_share=0.5,
        workers=0,
    )
    batches = [batch["views"].numpy() for batch in data.training(steps=3)]
    return {
        "same": bool(
            np.array_equal(read_frames(path, [40, 0, 39]), read_frames(local, [40, 0, 39]))
        ),
        "all": bool(np.array_equal(read_frames(path), read_frames(local))),
        "missing": error_of(lambda: read_frames(f"{BASE}/none.avi", [0])),
        "text": error_of(lambda: read_frames(f"{BASE}/list.txt", [0])),
        "batches": [list(batch.shape) for batch in batches],
        "skipped": data.skipped,
    }


def files(folder):
    data = np.random.default_rng(0).bytes(9 * 2**20)
    (folder / "big").write_bytes(data)
    (folder / "none").write_bytes(b"")
    remote.upload(folder / "big", "s3://bucket/other/big")
    remote.upload(folder / "none", "s3://bucket/other/none")
    remote.download("s3://bucket/other/big", folder / "copy")
    found = {
        "copy": (folder / "copy").read_bytes() == data,
        "part": remote.read_range("s3://bucket/other/big", 5_000_000, 99) == data[5_000_000:][:99],
        "end": remote.read_range("s3://bucket/other/big", len(data) - 3, 99) == data[-3:],
        "sizes": [remote.size(f"s3://bucket/other/{name}") for name in ("big", "none")],
        "empty": remote.read_bytes("s3://bucket/other/none").decode(),
        "listed": remote.list_files("s3://bucket/other"),
        "folder": error_of(lambda: remote.size("s3://bucket/other")),
        "refused": error_of(lambda: remote.upload(folder / "big", "s3://no-bucket/big")),
    }
    remote.delete("s3://bucket/other/none")
    return found | {"left": remote.list_files("s3://bucket/other")}


def shards(folder):
    videos = folder / "videos"
    videos.mkdir()
    for name in ("a.avi", "b.avi"):
        (videos / name).write_bytes((folder / "a.avi").read_bytes())
    write_shards(read_catalog(videos), folder / "shards", workers=0)
    for file in (folder / "shards").iterdir():
        remote.upload(file, f"{BASE}/shards/{file.name}")
    local, there = read_catalog(folder / "shards"), read_catalog(f"{BASE}/shards")
    indices = [59, 0, 33]
    frames = [open_store(found).frames(found[1].path, indices) for found in (local, there)]
    data = ClipDataset(there, frames=4, size=16, batch_size=2, recipe="none", workers=1)
    file = there[0].path.partition("#")[0]
    gone = [Record(f"{BASE}/none/shard-00000.tfrecord#a.avi")]
    return {
        "paths": [record.path for record in there],
        "same": bool(np.array_equal(*frames)),
        "batches": len(list(data.training(steps=2))),
        "tf.data": sum(1 for _ in tf.data.TFRecordDataset(file)),
        "gone": error_of(lambda: open_store(gone).length(gone[0].path)),
        "written there": error_of(lambda: write_shards(local, f"{BASE}/new")),
    }


def run_folder():
    first = RunFolder("s3://bucket/runs/a-seed0/")
    empty = first.names()
    for name, text in {"report.json": "{}", "checkpoints/1": "one", ".part-1-x": "half"}.items():
        (first.path / name).parent.mkdir(exist_ok=True)
        (first.path / name).write_text(text)
    first.push()
    (first.path / "checkpoints" / "1").unlink()
    (first.path / "checkpoints" / "2").write_text("two")
    first.push()
    second = RunFolder(str(first))
    second.pull("checkpoints/*")
    pulled = sorted(path.name for path in second.path.rglob("*") if path.is_file())
    second.close()
    first.close()
    return {
        "empty": empty,
        "names": second.names(),
        "pulled": pulled,
        "closed": not first.path.exists() and not second.path.exists(),
    }


if __name__ == "__main__":
    with clean_exit():
        place = Path(sys.argv[1])
        found = {"catalogs": catalogs(), "run_folder": run_folder()}
        found |= {part.__name__: part(place) for part in (videos, files, shards)}
        print(json.dumps(found))
        sys.exit(7)  # the code that must arrive
