"""Clips a second from shards against the video files they were written from; decoding only.

    python tools/fetch_real_videos.py data/real
    python benchmarks/shards.py --source=data/real/bikes.mp4

Rows: the files; shards with records of that many frames; and, with the default record, tf.io.decode_jpeg in
tf.data as the rival of OpenCV. All take turns, so that a drift of the machine's speed hits all alike, and each
reads random clips of random videos. "CPU ms" is the processor time of a clip, all threads together, which other
programs on the machine change little; "x files" are medians over rounds of the ratio to the files of the same
round and number of threads, in processor time and, beside its quartiles, in clips a second. "x 1 thread" is the
ratio of the row to itself with one thread; the last row, a loop in C that holds no lock, tells what the machine
gave to more threads at that moment.
"""

import argparse
import hashlib
import os
import statistics
import sys
import tempfile
import time
from concurrent.futures import ThreadPoolExecutor

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
sys.path.insert(0, os.path.dirname(os.path.dirname(os.path.abspath(__file__))))

import cv2  # noqa: E402
import numpy as np  # noqa: E402
import tensorflow as tf  # noqa: E402

from bod_keras.data import (  # noqa: E402
    Record,
    ShardSettings,
    clip_span,
    open_store,
    read_catalog,
    read_manifest,
    write_shards,
)
from bod_keras.data.shards.tfrecord import decode_example, read_records  # noqa: E402


def sampler(records, options):
    """A function seed -> (record, frame numbers)."""
    store = open_store(records)
    span = clip_span(options.frames, options.stride)
    lengths = [store.length(record.path) for record in records]

    def sample(seed):
        rng = np.random.default_rng(seed)
        index = int(rng.integers(len(records)))
        start = int(rng.integers(lengths[index] - span + 1))
        return records[index], start + options.stride * np.arange(options.frames)

    return sample, store


def store_route(records, options):
    sample, store = sampler(records, options)

    def run(seeds, threads):
        def read(seed):
            record, indices = sample(seed)
            return store.frames(record.path, indices)

        with ThreadPoolExecutor(threads) as pool:
            list(pool.map(read, seeds))

    return run


def tensorflow_route(folder, options):
    """Bytes by our index, images by TensorFlow."""
    records, manifest = read_catalog(folder), read_manifest(folder)
    sample, _ = sampler(records, options)
    chunk = manifest["settings"]["chunk"]
    videos = {record.path: video for record, video in zip(records, manifest["videos"])}

    def fetch(seed):
        record, indices = sample(int(seed))
        chunks, which = np.unique(indices // chunk, return_inverse=True)
        offsets = [videos[record.path]["offsets"][number] for number in chunks]
        messages = read_records(record.path.partition("#")[0], offsets)
        images = [decode_example(message)["image/encoded"] for message in messages]
        return np.array([images[w][i % chunk] for w, i in zip(which, indices)], object)

    def decode(seed):
        images = tf.ensure_shape(tf.numpy_function(fetch, [seed], tf.string), [options.frames])
        return tf.stack([tf.io.decode_jpeg(image, channels=3) for image in tf.unstack(images)])

    def run(seeds, threads):
        stream = tf.data.Dataset.from_tensor_slices(seeds)
        for _ in stream.map(decode, num_parallel_calls=threads):
            pass

    return run


def free_loop(seeds, threads):
    data = bytes(2**21)
    with ThreadPoolExecutor(threads) as pool:
        list(pool.map(lambda _: hashlib.sha256(data).digest(), seeds))


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--source", required=True, help="a video file, or a folder of them")
    parser.add_argument("--frames", type=int, default=16)
    parser.add_argument("--stride", type=int, default=2)
    parser.add_argument("--short_side", type=int, default=128)
    parser.add_argument("--chunks", type=int, nargs="+", default=[1, 8, 32, 64])
    parser.add_argument("--threads", type=int, nargs="+", default=[1, 2])
    parser.add_argument("--clips", type=int, default=100, help="of shards, and a tenth of files")
    parser.add_argument("--rounds", type=int, default=5)
    options = parser.parse_args()
    cv2.setNumThreads(1)
    one = os.path.isfile(options.source)
    records = [Record(options.source)] if one else read_catalog(options.source)
    with tempfile.TemporaryDirectory() as folder:
        routes = {"files": (store_route(records, options), options.clips // 10)}
        for chunk in options.chunks:
            path = os.path.join(folder, str(chunk))
            settings = ShardSettings(short_side=options.short_side, chunk=chunk)
            totals = write_shards(records, path, settings)["totals"]
            name = f"shards, {chunk} frames a record"
            routes[name] = (store_route(read_catalog(path), options), options.clips)
        routes["the last, by TensorFlow"] = (tensorflow_route(path, options), options.clips)
        routes["free loop"] = (free_loop, options.clips)
        rates, costs = {}, {}
        for turn in range(-1, options.rounds):  # the first turn warms up
            for name, (run, clips) in routes.items():
                for threads in options.threads:
                    seeds = np.arange(clips * threads) + 10**6 * (turn + 1)
                    started, used = time.perf_counter(), time.process_time()
                    run(seeds, threads)
                    rate = len(seeds) / (time.perf_counter() - started)
                    cost = (time.process_time() - used) / len(seeds)
                    if turn >= 0:
                        rates.setdefault((name, threads), []).append(rate)
                        costs.setdefault((name, threads), []).append(cost)
    print(f"{totals['bytes'] / totals['frames'] / 1024:.1f} KiB a frame in shards")
    print(
        f"{'route':28} threads  clips/s   CPU ms  x files: CPU  clips/s (quartiles)     x 1 thread"
    )
    for (name, threads), measured in rates.items():
        row = f"{name:28} {threads:7} {statistics.median(measured):8.1f}"
        if name == "free loop":
            row += " " * 48
        else:
            cost, files = costs[name, threads], costs["files", threads]
            saved = statistics.median(b / a for a, b in zip(cost, files))
            ratios = [a / b for a, b in zip(measured, rates["files", threads])]
            low, middle, high = statistics.quantiles(ratios, n=4)
            row += f" {1000 * statistics.median(cost):8.2f} {saved:13.1f}"
            row += f" {middle:8.1f} ({low:.1f} to {high:.1f})".ljust(25)
        alone = rates[name, options.threads[0]]
        scale = statistics.median(a / b for a, b in zip(measured, alone))
        print(f"{row} {scale:10.2f}")


if __name__ == "__main__":
    main()
