"""What holds of any clip, order, list and file: cases that hypothesis thinks of, the same ones each time."""

import csv
import io
import pickle
import re
import tempfile
from pathlib import Path

import numpy as np
from hypothesis import assume, given, settings
from hypothesis import strategies as some

from bod_keras.data import (
    ClipDataset,
    Record,
    array_records,
    clip_indices,
    clip_span,
    even_views,
    read_source,
    sample_views,
)
from bod_keras.data.loading.order import EpochOrder, video_numbers
from bod_keras.data.video import iterate_frames, read_frames, readable_frames
from bod_keras.errors import UserError
from tests.stamped_videos import read_stamp, stamp, write_video

QUICK = settings(max_examples=50, deadline=None, derandomize=True)
FEW = settings(QUICK, max_examples=20)


# -- clips -------------------------------------------------------------------------------------------------


@QUICK
@given(
    some.integers(1, 60), some.integers(1, 9), some.integers(1, 7), some.integers(1, 5), some.data()
)
def test_any_clip_steps_by_its_stride_from_a_start_that_exists(length, frames, stride, views, data):
    starts = range(max(length - ((frames - 1) * stride + 1), 0) + 1)
    assert clip_span(frames, stride) == (frames - 1) * stride + 1
    seed = data.draw(some.integers(0, 9))
    drawn = sample_views(length, frames, stride, views, np.random.default_rng(seed))
    again = sample_views(length, frames, stride, views, np.random.default_rng(seed))
    even = even_views(length, frames, stride, views)
    np.testing.assert_array_equal(drawn, again)
    for clips in (drawn, even):
        assert clips.shape == (views, frames) and clips.dtype == np.int64
        for clip in clips.tolist():
            assert clip[0] in starts
            assert clip == [(clip[0] + t * stride) % length for t in range(frames)]
    first = even[:, 0].tolist()
    assert first == sorted(first)
    assert (first[0], first[-1]) == (0, starts[-1]) if views > 1 else first == [starts[-1] // 2]
    assert np.ptp(np.diff(first)) <= 1 if views > 2 else True
    start = data.draw(some.integers(0, length - 1))
    assert clip_indices(length, frames, stride, start)[0] == start


# -- order and resuming ------------------------------------------------------------------------------------


@QUICK
@given(some.integers(1, 5), some.integers(1, 4), some.integers(0, 30), some.integers(0, 99))
def test_hosts_share_any_stream_and_an_order_that_was_pickled_goes_on(batch, hosts, rest, seed):
    records = batch * hosts + rest
    orders = [EpochOrder(records, batch, seed, (i, hosts)) for i in range(hosts)]
    one = EpochOrder(records, batch * hosts, seed)
    samples = range(2 * one.steps * batch + 1)
    positions = [order.position(n) for order in orders for n in samples[:-1]]
    assert sorted(positions) == list(range(len(positions)))  # nothing twice, nothing left out
    for epoch in range(2):
        span = range(epoch * one.steps * batch * hosts, (epoch + 1) * one.steps * batch * hosts)
        located = [one.locate(g) for g in span]
        assert {e for e, _ in located} == {epoch}
        assert len({r for _, r in located}) == len(span) and max(r for _, r in located) < records
        assert [pickle.loads(pickle.dumps(orders[-1])).locate(g) for g in span] == located


@QUICK
@given(
    some.lists(some.integers(0, 6), min_size=2, max_size=24),
    some.integers(1, 4),
    some.integers(0, 9),
)
def test_any_videos_are_parted_where_they_can_be(videos, batch, seed):
    assume(batch <= len(set(videos)))
    order = EpochOrder(len(videos), batch, seed, videos=videos)
    entries = order.entries(0).tolist()
    assert sorted(entries) == list(range(len(videos)))
    shown = [[videos[i] for i in entries[s * batch : (s + 1) * batch]] for s in range(order.steps)]
    # A video with one entry or two, beside as many others as a batch holds, has room elsewhere.
    if max(map(videos.count, videos)) <= max(1, order.steps // 2):
        assert all(len(set(batch)) == len(batch) for batch in shown)


spans = some.none() | some.tuples(some.integers(0, 9), some.integers(1, 4)).map(
    lambda span: (float(span[0]), float(sum(span)))
)


@QUICK
@given(some.lists(some.tuples(some.sampled_from("ab"), spans), max_size=8))
def test_any_records_that_overlap_have_one_number(rows):
    records = [Record(path, span=span) for path, span in rows]
    numbers = list(range(len(rows)))
    for _ in rows:  # the least number that overlaps, handed on until all agree
        for i, one in enumerate(records):
            for j, other in enumerate(records):
                (a, b), (c, d) = one.span or (-1, 99), other.span or (-1, 99)
                if one.path == other.path and a < d and c < b:
                    numbers[i] = numbers[j] = min(numbers[i], numbers[j])
    order = list(dict.fromkeys(numbers))
    assert video_numbers(records) == [order.index(number) for number in numbers]


CLIPS = np.random.default_rng(0).integers(0, 255, (7, 9, 8, 8, 3), dtype=np.uint8)


@FEW
@given(some.integers(0, 40), some.integers(1, 3), some.integers(0, 2))
def test_a_stream_goes_on_from_any_position(position, batch, seed):
    def stream(start, steps):
        dataset = ClipDataset(
            array_records(CLIPS), batch_size=batch, seed=seed, frames=3, size=8, workers=0
        )
        return [batch for (batch,) in dataset.training_numpy(start, steps=steps)]

    position -= position % batch
    whole = stream(0, position // batch + 3)[position // batch :]
    for one, other in zip(whole, stream(position, 3), strict=True):
        np.testing.assert_array_equal(one["views"], other["views"])
        np.testing.assert_array_equal(one["position"], other["position"])


# -- lists -------------------------------------------------------------------------------------------------

# What parts cells, lines and paths, or begins a comment.
letters = some.text(alphabet="ab1 ,;|#\"'\t\n\r.-/%é\u2028\udcff", max_size=9)
names = letters.map(lambda text: f"{text}a.mp4").filter(
    lambda name: name == name.strip() and "//" not in name and "/." not in name
)
labels = some.sampled_from(["run", "jump, high", 'say "hi"', "b;c", "é"])


def read_text(text, name):
    """The catalog of a text, by the encoding that `read_source` expects."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, name)
        path.write_bytes(text.encode("utf-8", "surrogateescape"))
        return read_source(path, root="")


@QUICK
@given(
    some.dictionaries(
        names.filter(lambda name: "\udcff" not in name), labels, min_size=1, max_size=6
    ),
    some.sampled_from(",;\t|"),
    some.sampled_from(["\n", "\r\n"]),
    some.sampled_from(["list.csv", "list.txt"]),
)
def test_any_table_that_csv_writes_is_read_whole(rows, delimiter, end, name):
    file = io.StringIO(newline="")
    writer = csv.writer(file, delimiter=delimiter, lineterminator=end, quoting=csv.QUOTE_ALL)
    writer.writerows([("path", "label"), *rows.items()])
    assume(not any(path.startswith("#") for path in rows))  # comments, but for files that are there
    catalog = read_text(file.getvalue(), name)
    found = {r.path: catalog.class_names[r.label] for r in catalog.records}
    assert found == rows and len(catalog.records) == len(rows)


@QUICK
@given(some.lists(letters.map(lambda t: t.replace('"', "'")), max_size=7), some.booleans())
def test_no_line_of_any_list_is_lost_in_silence(lines, table):
    """Every line is a video, or counted in what the catalog says, or the list is refused."""
    text = "".join(f"{line}\n" for line in (["path,label"] if table else []) + lines)
    try:
        catalog = read_text(text, "list.txt")
    except UserError:
        return
    rows = [line for line in io.StringIO(text, newline="") if line.strip()][table:]
    said = "; ".join(catalog.remarks)
    counted = re.findall(r"(\d+) (?:empty row|comment|repeated row)s? (?:skipped|merged)", said)
    assert len(catalog.records) + sum(map(int, counted)) == len(rows), said


# -- seeking -----------------------------------------------------------------------------------------------

KINDS = [
    *[
        ("a.mp4", "libx264", 2),
        ("a.mkv", "libx264", 0),
        ("a.ts", "libx264", 2),
        ("a.flv", "libx264", 2),
    ],
    *[("a.mp4", "mpeg4", 0), ("a.mov", "mpeg4", 2), ("a.avi", "mpeg4", 0), ("a.webm", "libvpx", 0)],
    *[("a.avi", "ffv1", 0), ("a.mkv", "mjpeg", 0), ("a.mpg", "mpeg2video", 2)],
]


@FEW
@given(
    some.sampled_from(KINDS),
    some.integers(1, 18),
    some.integers(1, 13),
    some.lists(some.integers(1, 6), min_size=24, max_size=24),
    some.data(),
)
def test_any_frame_of_any_file_is_that_of_stepping(kind, frames, gop, gaps, data):
    name, codec, b_frames = kind
    constant = data.draw(some.booleans()) or name.endswith(("avi", "mpg"))
    times = None if constant else np.cumsum(gaps[:frames]).tolist()
    images = [stamp(number) for number in range(frames)]
    with tempfile.TemporaryDirectory() as folder:
        path = write_video(f"{folder}/{name}", codec, times, gop, b_frames, images)
        steps = list(iterate_frames(path))
        assert [read_stamp(frame) for frame in steps] == list(range(frames))
        assert readable_frames(path) == frames
        wanted = data.draw(some.lists(some.integers(0, frames - 1), min_size=1, max_size=6))
        np.testing.assert_array_equal(
            read_frames(path, wanted), np.stack([steps[n] for n in wanted])
        )
