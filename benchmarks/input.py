"""Clips a second from videos: our files and shards against plain loops with PyAV, decord and torchcodec.

One sample is what a training step takes of a video: clips of 16 frames, every second one, two of them, random
starts, decoded and augmented ("cvrl") to 112 x 112. Every route gets the same files and the same starts, in
turns, in one process and one thread; the rivals decode what they are asked for, a clip at a time, and then use
the same augmentation. "decode" leaves the augmentation out.

    python tools/fetch_real_videos.py data/real
    pip install -r requirements-bench.txt              # the rivals; those that are missing are left out
    python benchmarks/input.py --videos=data/real
    python benchmarks/input.py --help

How to read it: "clips/s" is a clip per second of wall time, "per CPU s" per second of processor time, which
other programs on the machine disturb less; the ratios are the time of the line's route over that of our file
route, the median over rounds with its quartiles. A round is one sample of every file that all can read.
"workers" is the whole loader, processes and shared memory included, with 1 and 2 workers in turns. "feeds" is
how many such workers a training step would need of that many seconds: computed, not measured on a GPU.
"""

import argparse
import itertools
import os
import platform
import resource
import sys
import tempfile
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
os.environ["BOD_KERAS_READER"] = "1"  # as a worker does: without Keras
sys.path.insert(0, str(ROOT))

import cv2  # noqa: E402
import numpy as np  # noqa: E402

from bod_keras.data import read_catalog  # noqa: E402
from bod_keras.data.augment.augment import augmentation  # noqa: E402
from bod_keras.data.loading.clips import sample_rng, sample_views  # noqa: E402
from bod_keras.data.loading.reader import ClipReader, Task  # noqa: E402
from bod_keras.data.loading.sample_source import SampleSource  # noqa: E402
from bod_keras.data.open_store import open_store  # noqa: E402
from bod_keras.data.shards.shard_writer import ShardSettings  # noqa: E402
from bod_keras.data.shards.shards import write_shards  # noqa: E402
from bod_keras.data.video.video import read_frames  # noqa: E402

FRAMES, STRIDE, SIZE = 16, 2, 112
STEP_SECONDS = (0.25, 0.5, 1.0)
STEP_CLIPS = 64 * 2


def pyav(path, clip):
    import av

    wanted, found, number = set(clip), {}, None
    with av.open(path) as container:
        stream = container.streams.video[0]
        stream.codec_context.thread_count = 1
        rate, base, begin = stream.average_rate, stream.time_base, stream.start_time or 0
        container.seek(int(begin + clip[0] / rate / base), stream=stream)
        for frame in container.decode(stream):
            number = round((frame.pts - begin) * base * rate) if number is None else number + 1
            if number in wanted:
                found[number] = frame.to_ndarray(format="rgb24")
            if number >= clip[-1]:
                break
    return np.stack([found[n] for n in clip])


def decord(path, clip):
    from decord import VideoReader

    return VideoReader(path, num_threads=1).get_batch(clip).asnumpy()


def torchcodec(path, clip):
    from torchcodec.decoders import VideoDecoder

    decoder = VideoDecoder(path, dimension_order="NHWC", num_ffmpeg_threads=1)
    return decoder.get_frames_at(clip).data.numpy()


RIVALS = {
    "PyAV": ("av", pyav),
    "decord": ("decord", decord),
    "torchcodec": ("torchcodec", torchcodec),
}


class Ours:
    """Our route over records: files, or shards of the same."""

    def __init__(self, records, views):
        self.augment = augmentation("cvrl", SIZE)
        self.records = records
        self.reader = ClipReader(FRAMES, STRIDE, 0, self.augment, self.augment)
        self.store = open_store(records)
        self.out = np.empty((views, FRAMES, SIZE, SIZE, 3), np.uint8)
        self.views = views

    def sample(self, index, epoch):
        self.reader.read(self.records[index], Task(0, index, epoch, self.views), self.out)

    def decode(self, index, epoch):
        path = self.records[index].path
        self.store.frames(path, self.starts(index, epoch).ravel())

    def starts(self, index, epoch):
        length = self.store.length(self.records[index].path)
        rng = sample_rng(0, epoch, index)
        return sample_views(length, FRAMES, STRIDE, self.views, rng)


class Rival:
    """A plain loop: each clip for itself, then the augmentation."""

    def __init__(self, read, files):
        self.read, self.files = read, files

    def clips(self, index, epoch):
        path = self.files.records[index].path
        for clip in self.files.starts(index, epoch):
            yield self.read(path, sorted(clip.tolist()))

    def sample(self, index, epoch):
        rng = np.random.default_rng(epoch)
        for view, clip in enumerate(self.clips(index, epoch)):
            self.files.augment(clip, rng, view)

    def decode(self, index, epoch):
        for _ in self.clips(index, epoch):
            pass


def measure(routes, videos, rounds, kind):
    """Seconds of wall and processor time, (rounds, 2) by name: routes in turns, file by file."""
    seconds = {name: np.zeros((rounds + 1, 2)) for name in routes}
    for epoch in range(rounds + 1):  # the first is a warm-up
        for index, (name, route) in itertools.product(range(videos), routes.items()):
            begin = time.perf_counter(), time.process_time()
            getattr(route, kind)(index, epoch)
            seconds[name][epoch] += (
                time.perf_counter() - begin[0],
                time.process_time() - begin[1],
            )
    return {name: values[1:] for name, values in seconds.items()}


def show(seconds, clips, title):
    print(f"\n{title:12}  clips/s  per CPU s  ratio (quartiles)   ratio of CPU time")
    base = seconds["our files"]
    for name, values in seconds.items():
        rate, cpu = clips / values.mean(axis=0)
        ratio = values / base
        low, middle, high = np.percentile(ratio[:, 0], [25, 50, 75])
        print(
            f"{name:12} {rate:8.1f} {cpu:10.1f}   {middle:5.2f} ({low:.2f}-{high:.2f}) "
            f"{np.median(ratio[:, 1]):15.2f}"
        )


def measure_workers(route, videos, rounds):
    """Clips a second of the whole loader with 1 and 2 workers, in turns."""
    sources = {count: SampleSource(route.records, route.reader, count, 600) for count in (1, 2)}
    rates = {count: [] for count in sources}
    for epoch in range(rounds + 1):
        tasks = [Task(n, n % videos, epoch * 100 + n, route.views) for n in range(4 * videos)]
        for count, source in sources.items():
            begin = time.perf_counter()
            for _ in source.samples(tasks, route.out.shape, window=24):
                pass
            rates[count].append(len(tasks) * route.views / (time.perf_counter() - begin))
    return {count: np.array(values[1:]) for count, values in rates.items()}


def show_memory(files, opens):
    """Resident memory while files are opened and read again and again."""
    print(f"\n{opens} openings in one process, peak resident MiB after each fifth: ", end="")
    videos = len(files.records)
    for count in range(1, opens + 1):
        path = files.records[count % videos].path
        read_frames(path, [0, 3], lambda frame, _: cv2.resize(frame, (SIZE, SIZE)))
        if count % (opens // 5) == 0:
            print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024, end=" ", flush=True)
    print()


def installed():
    """The rivals that can be imported, by name."""
    found = {}
    for name, (module, read) in RIVALS.items():
        try:
            __import__(module)
        except (ImportError, OSError, RuntimeError):
            print(f"{name} is not installed and left out")
        else:
            found[name] = read
    return found


def readable(folder, rivals, views):
    """The records of the folder's videos that we and all rivals can read; says which they are not."""
    records = []
    for record in read_catalog(folder):
        alone = Ours([record], views)
        routes = {"we": alone, **{name: Rival(read, alone) for name, read in rivals.items()}}
        for name, route in routes.items():
            try:
                for epoch in range(8):
                    route.sample(0, epoch)
            except Exception as error:
                print(f"left out, {name} cannot read it: {record.path}: {error!r}"[:160])
                break
        else:
            records.append(record)
    return records


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--videos", default="data/real", help="a folder of videos")
    parser.add_argument("--rounds", type=int, default=12)
    parser.add_argument("--views", type=int, default=2)
    parser.add_argument(
        "--opens", type=int, default=0, help="also measure memory over this many openings"
    )
    arguments = parser.parse_args()
    cv2.setNumThreads(1)
    rivals = installed()
    records = readable(arguments.videos, rivals, arguments.views)
    videos, clips = len(records), len(records) * arguments.views
    print(
        f"{videos} videos, {arguments.views} clips of each, {arguments.rounds} rounds; "
        f"{platform.machine()}, {os.cpu_count()} cores, load {os.getloadavg()[0]:.1f}"
    )
    with tempfile.TemporaryDirectory() as folder:
        write_shards(records, folder, ShardSettings())
        files, shards = Ours(records, arguments.views), Ours(read_catalog(folder), arguments.views)
        routes = {"our files": files, "our shards": shards}
        routes |= {name: Rival(read, files) for name, read in rivals.items()}
        for kind, title in (("sample", "with augment"), ("decode", "decode")):
            show(measure(routes, videos, arguments.rounds, kind), clips, title)
        print("\nworkers       1: clips/s  2: clips/s   2 over 1 (quartiles)")
        for name in ("our files", "our shards"):
            rates = measure_workers(routes[name], videos, arguments.rounds)
            low, middle, high = np.percentile(rates[2] / rates[1], [25, 50, 75])
            one, two = (np.median(rates[count]) for count in (1, 2))
            print(f"{name:12} {one:11.1f} {two:11.1f}   {middle:8.2f} ({low:.2f}-{high:.2f})")
            feeds = ", ".join(f"{s:g} s: {STEP_CLIPS / s / one:.1f} workers" for s in STEP_SECONDS)
            print(f"  feeds a step of {STEP_CLIPS} clips that takes {feeds}")
        if arguments.opens:
            show_memory(files, arguments.opens)


if __name__ == "__main__":
    main()
