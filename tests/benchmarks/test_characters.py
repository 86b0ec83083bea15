"""Characters of .glb files: a triangle on one joint, posed, drawn and read as the study does."""

import json
import struct

import cv2
import numpy as np
import pytest

from benchmarks.cooccurrence.characters import ACTIONS, CLASSES, Character, CharacterScenes

QUARTER = np.sqrt(0.5)  # sine of 45 degrees: a turn by 90 about the x axis


def write_glb(path, clips=ACTIONS):
    blob, views, accessors = bytearray(), [], []

    def add(array, kind):
        views.append({"byteOffset": len(blob), "byteLength": array.nbytes})
        blob.extend(array.tobytes())
        types = {"f": 5126, "H": 5123, "B": 5121}
        accessors.append(
            {
                "bufferView": len(views) - 1,
                "componentType": types[array.dtype.char],
                "count": len(array),
                "type": kind,
            }
        )
        return len(accessors) - 1

    corners = np.array([[0, 0, 0], [1, 0, 0], [0, 1, 0]], "f")
    attributes = {
        "POSITION": add(corners, "VEC3"),
        "NORMAL": add(np.tile(np.array([0, 0, 1], "f"), (3, 1)), "VEC3"),
        "TEXCOORD_0": add(np.zeros((3, 2), "f"), "VEC2"),
        "JOINTS_0": add(np.zeros((3, 4), "B"), "VEC4"),
        "WEIGHTS_0": add(np.array([[1, 0, 0, 0]] * 3, "f"), "VEC4"),
    }
    faces = add(np.arange(3, dtype="H"), "SCALAR")
    binds = add(np.eye(4, dtype="f").reshape(1, 16), "MAT4")
    times = add(np.array([0, 2], "f"), "SCALAR")
    turns = add(np.array([[0, 0, 0, 1], [QUARTER, 0, 0, QUARTER]], "f"), "VEC4")
    image = np.frombuffer(cv2.imencode(".png", np.full((2, 2, 3), 255, np.uint8))[1], "B")
    picture = accessors[add(image, "SCALAR")]["bufferView"]
    sampler = {"input": times, "output": turns}
    channel = {"sampler": 0, "target": {"node": 0, "path": "rotation"}}
    content = {
        "nodes": [{"name": "joint", "children": [1]}, {"name": "slot"}, {"mesh": 0, "skin": 0}],
        "meshes": [{"primitives": [{"attributes": attributes, "indices": faces}]}],
        "skins": [{"joints": [0], "inverseBindMatrices": binds}],
        "animations": [{"name": n, "samplers": [sampler], "channels": [channel]} for n in clips],
        "images": [{"bufferView": picture}],
        "accessors": accessors,
        "bufferViews": views,
    }
    text = json.dumps(content).encode()
    text += b" " * (-len(text) % 4)
    size = 28 + len(text) + len(blob)
    head = struct.pack("<4sII", b"glTF", 2, size) + struct.pack("<I4s", len(text), b"JSON")
    path.write_bytes(head + text + struct.pack("<I4s", len(blob), b"BIN\0") + blob)


def test_a_clip_turns_the_points_of_its_joint(tmp_path):
    write_glb(tmp_path / "a.glb")
    character = Character(tmp_path / "a.glb")
    start, normals = character.pose("Cheer", 0.0)
    np.testing.assert_allclose(normals, np.tile([0, 0, 1], (len(start), 1)), atol=1e-6)
    assert (start[:, 2] == 0).all() and (start[:, :2].sum(1) <= 1 + 1e-6).all()
    end, normals = character.pose("Cheer", 1.0)
    np.testing.assert_allclose(
        end, np.stack([start[:, 0], 0 * start[:, 1], start[:, 1]], 1), atol=1e-6
    )
    np.testing.assert_allclose(normals, np.tile([0, -1, 0], (len(start), 1)), atol=1e-6)


def test_a_body_is_seen_before_its_photo_and_moves(tmp_path):
    for name in "abcde":
        write_glb(tmp_path / f"{name}.glb")
    assert CLASSES == (15, 12)
    scenes = CharacterScenes("static-easy", 6, 32, tmp_path)
    rng = np.random.default_rng(0)
    clip = scenes.video(4, ACTIONS.index("Throw"), "train", rng)()
    assert clip.shape == (6, 32, 32, 3) and clip.dtype == np.uint8
    assert np.abs(np.diff(clip.astype(int), axis=0)).max() > 20


def test_a_folder_or_a_file_that_lacks_something_is_named(tmp_path):
    with pytest.raises(FileNotFoundError, match="Expected five .glb files"):
        CharacterScenes("static-easy", 6, 32, tmp_path)
    write_glb(tmp_path / "a.glb", ACTIONS[:-1])
    with pytest.raises(ValueError, match="Missing: .'Spellcast_Raise'"):
        Character(tmp_path / "a.glb")
