import os
import zlib

import cv2
import numpy as np
import pytest

from bod_keras.data import ClipDataset, FrameFolderStore, VideoError, frame_names, read_catalog
from bod_keras.data.video.check import check_video
from bod_keras.data.video.decode_image import claimed_size


@pytest.fixture
def write_frames():
    """Write frame t as a plain image of level 4 t, named by a pattern."""

    def write(folder, pattern="img_{:05d}.png", count=12, first=1, size=(24, 32)):
        folder.mkdir(parents=True, exist_ok=True)
        for t in range(count):
            image = np.full((*size, 3), 4 * t, np.uint8)
            assert cv2.imwrite(str(folder / pattern.format(t + first)), image)
        return str(folder)

    return write


@pytest.mark.parametrize(
    "pattern, first",
    [
        ("img_{:05d}.jpg", 1),
        ("image_{:05d}.JPG", 1),
        ("frame_{:06d}.png", 0),
        ("frame_{:010d}.jpeg", 1),
        ("{:06d}.jpg", 1),
        ("{}.jpg", 1),  # 1.jpg, 10.jpg, 2.jpg: not the order of the alphabet
        ("{}.png", 95),  # 95 to 106
        ("-5KQ66BBWC4_{:06d}.jpg", 1),
        ("v [1] 50%_{}.bmp", 8),
        ("v_g01_c02_{}_rgb.webp", 8),
    ],
)
def test_frames_are_in_the_order_of_their_numbers(tmp_path, write_frames, pattern, first):
    folder = write_frames(tmp_path / "a", pattern, first=first)
    store = FrameFolderStore()
    assert store.length(folder) == 12 and store.fps(folder) is None
    levels = store.frames(folder, np.array([11, 0, 5, 11]))[:, 0, 0]
    assert abs(levels.astype(int) - 4 * np.array([[11], [0], [5], [11]])).max() <= 1
    assert FrameFolderStore(fps=12.5).fps(folder) == 12.5


def test_colors_are_rgb(tmp_path):
    image = np.zeros((8, 8, 3), np.uint8)
    image[..., 2] = 255  # OpenCV writes BGR: this is red
    cv2.imwrite(str(tmp_path / "1.png"), image)
    assert FrameFolderStore().frames(str(tmp_path), [0])[0, 0, 0].tolist() == [255, 0, 0]


def test_what_is_no_frame_is_left_out(tmp_path, write_frames):
    folder = write_frames(tmp_path / "a", count=3)
    for name in ("flow_x_00001.jpg", "flow_y_00001.jpg", "x_00001.jpg", "y_00001.jpg"):
        (tmp_path / "a" / name).write_bytes(b"")
    for name in (".img_00009.png", "cover.jpg", "notes1.txt"):
        (tmp_path / "a" / name).write_bytes(b"")
    assert frame_names(folder) == [f"img_{t:05d}.png" for t in (1, 2, 3)]


def test_several_series_are_refused_not_mixed(tmp_path, write_frames):
    write_frames(tmp_path / "a", "left_{:03d}.png", count=3)
    folder = write_frames(tmp_path / "a", "right_{:03d}.png", count=3)
    with pytest.raises(VideoError, match=r"2 series of images \(left_001.png, right_001.png\)"):
        frame_names(folder)


def test_folders_that_cannot_be_read(tmp_path):
    (tmp_path / "empty").mkdir()
    store = FrameFolderStore()
    for name, reason in (("empty", "no numbered image"), ("none", "No such file")):
        with pytest.raises(VideoError, match=reason):
            store.length(str(tmp_path / name))
    assert len(store.skipped) == 2


@pytest.mark.parametrize(
    "damage, reason",
    [
        (lambda path: path.write_bytes(b""), "img_00006.png is no image"),
        (lambda path: path.write_bytes(b"no image"), "img_00006.png is no image"),
        (lambda path: path.write_bytes(path.read_bytes()[:60]), "cut off"),
        (lambda path: path.unlink(), "img_00006.png cannot be read: No such file"),
        (
            lambda path: cv2.imwrite(str(path), np.zeros((10, 20, 3), np.uint8)),
            "img_00006.png is 20 x 10, other frames are 32 x 24",
        ),
    ],
)
def test_a_broken_image_is_named_and_the_others_are_read(tmp_path, write_frames, damage, reason):
    folder = write_frames(tmp_path / "a")
    store = FrameFolderStore()
    assert store.length(folder) == 12
    damage(tmp_path / "a" / "img_00006.png")
    with pytest.raises(VideoError, match=reason):
        store.frames(folder, np.arange(12))
    assert reason in store.skipped[folder]
    assert len(store.frames(folder, [0, 4, 6])) == 3


def test_a_jpeg_that_is_cut_off_is_no_gray_picture(tmp_path):
    noise = np.random.default_rng(0).integers(0, 255, (64, 64, 3), dtype=np.uint8)
    data = cv2.imencode(".jpg", noise)[1].tobytes()
    (tmp_path / "1.jpg").write_bytes(data[:-200])
    with pytest.raises(VideoError, match="1.jpg is no image that OpenCV can decode, or is cut off"):
        FrameFolderStore().length(str(tmp_path))


def _claim(name, height, width):
    """A small picture whose header claims another size."""
    data = bytearray(cv2.imencode(name, np.zeros((16, 16, 3), np.uint8))[1].tobytes())
    if name == ".png":
        data[16:24] = width.to_bytes(4, "big") + height.to_bytes(4, "big")
        data[29:33] = zlib.crc32(data[12:29]).to_bytes(4, "big")
    elif name == ".bmp":
        data[18:26] = width.to_bytes(4, "little") + (-height).to_bytes(4, "little", signed=True)
    elif name == ".webp":
        sides = b"".join(max(0, side - 1).to_bytes(3, "little") for side in (width, height))
        chunk = b"VP8X" + (10).to_bytes(4, "little") + bytes(4) + sides
        data = (
            b"RIFF"
            + (4 + len(chunk) + len(data)).to_bytes(4, "little")
            + b"WEBP"
            + chunk
            + data[12:]
        )
    else:
        at = data.index(b"\xff\xc0")
        data[at + 5 : at + 9] = height.to_bytes(2, "big") + width.to_bytes(2, "big")
    return bytes(data)


@pytest.mark.parametrize("name", [".jpg", ".png", ".bmp", ".webp"])
@pytest.mark.parametrize("size", [(65500, 65500), (30000, 30000), (1, 0), (9000, 9000)], ids=str)
def test_a_header_that_claims_a_giant_picture_costs_no_memory(name, size, tmp_path):
    import resource

    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    for number in range(3):
        (tmp_path / f"{number}{name}").write_bytes(_claim(name, *size))
    with pytest.raises(VideoError, match=f"0{name}"):
        FrameFolderStore().length(str(tmp_path))
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 100_000  # kB


@pytest.mark.parametrize(
    "name, quality", [(".jpg", 90), (".png", 3), (".bmp", 0), (".webp", 50), (".webp", 101)]
)
def test_the_size_in_the_header_of_a_picture(name, quality):
    flags = {".jpg": cv2.IMWRITE_JPEG_QUALITY, ".webp": cv2.IMWRITE_WEBP_QUALITY}
    image = np.random.default_rng(0).integers(0, 255, (37, 53, 3), np.uint8)
    data = cv2.imencode(name, image, [flags[name], quality] if name in flags else [])[1].tobytes()
    assert claimed_size(data) == (37, 53)


def test_catalogs_of_frame_folders(tmp_path, write_frames):
    for name in ("walk/b", "run/a [1]", "run/c"):
        write_frames(tmp_path / "set" / name, count=2)
    records = read_catalog(tmp_path / "set")
    names = [os.path.relpath(record.path, tmp_path / "set") for record in records]
    assert names == ["run/a [1]", "run/c", "walk/b"]
    assert [record.label for record in records] == [0, 0, 1]
    listing = tmp_path / "list.txt"
    listing.write_text("set/walk/b 7\n")
    (record,) = read_catalog(listing)
    assert record.label == 7 and FrameFolderStore().length(record.path) == 2


def test_a_dataset_over_frame_folders(tmp_path, write_frames):
    for name in "abcd":
        write_frames(tmp_path / name, count=20)
    dataset = ClipDataset(read_catalog(tmp_path), frames=4, size=16, batch_size=2)
    (batch,) = dataset.training(steps=1).as_numpy_iterator()
    assert batch["views"].shape == (2, 2, 4, 16, 16, 3) and not dataset.skipped


def test_wrong_rate():
    with pytest.raises(ValueError, match="fps must be above 0, or None .*Received: fps=0"):
        FrameFolderStore(fps=0)


@pytest.mark.parametrize(
    "pattern, step, lost, said",
    [
        ("img_{:05d}.jpg", 1, [4], "1 image missing, the first after img_00004.jpg"),
        ("{:06d}.png", 1, [3, 4, 8], "3 images missing, the first after 000003.png"),
        ("f{}.bmp", 5, [6], "1 image missing, the first after f26.bmp"),
        ("{}.jpg", 1, [0], None),  # it may begin anywhere
        ("{}.jpg", 3, [], None),
    ],
)
def test_images_that_are_missing_are_told(tmp_path, write_frames, pattern, step, lost, said):
    folder = write_frames(tmp_path / "all", "{}.jpg", count=1)
    (image,) = os.listdir(folder)
    (tmp_path / "a").mkdir()
    for number in set(range(12)) - set(lost):
        picture = cv2.imread(os.path.join(folder, image))
        cv2.imwrite(str(tmp_path / "a" / pattern.format(1 + step * number)), picture)
    for full in (False, True):
        found = check_video(str(tmp_path / "a"), full)
        assert (found["state"], found["frames"], found["gaps"]) == ("ok", 12 - len(lost), said)


@pytest.mark.parametrize("twin", ["img_1.jpg", "img_00001.png", "img_0001.JPG"])
def test_two_images_of_one_number_are_refused(tmp_path, write_frames, twin):
    folder = write_frames(tmp_path / "a", "img_{:05d}.jpg")
    (tmp_path / "a" / twin).write_bytes((tmp_path / "a" / "img_00001.jpg").read_bytes())
    with pytest.raises(VideoError, match="two images have one number: img_"):
        frame_names(folder)
