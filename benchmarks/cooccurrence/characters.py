"""Bodies that act: skinned characters of .glb files before a photo, static body and outfit, dynamic action.

Made for KayKit's Adventurers (CC0, KayKit-Game-Assets/KayKit-Character-Pack-Adventures-1.0): five bodies and 76
named clips on one rig. Another folder of .glb files with the same rig and clips works, too.
"""

import contextlib
import functools
import json
import struct
from pathlib import Path

import cv2
import numpy as np

from bod_keras.data.synthetic.sprites import draw_texture

# In place and on the way, and three pairs that only order or side tells apart.
ACTIONS = (
    *("Walking_A", "Walking_Backwards", "Running_Strafe_Left", "Running_Strafe_Right"),
    *("Sit_Floor_Down", "Sit_Floor_StandUp", "Cheer", "Interact", "PickUp"),
    *("Unarmed_Melee_Attack_Kick", "Throw", "Spellcast_Raise"),
)
CYCLES = ("Walking_A", "Walking_Backwards", "Running_Strafe_Left", "Running_Strafe_Right", "Cheer")
OUTFITS = ((1.0, 0.35, 0.25), (0.25, 0.45, 1.0), (0.35, 0.85, 0.3))  # hues a body comes in
CLASSES = (5 * len(OUTFITS), len(ACTIONS))
_PHASES = 32  # poses of an action that are computed
_POINTS = 12000  # of a body's surface
_TYPES = {5120: "i1", 5121: "u1", 5122: "<i2", 5123: "<u2", 5125: "<u4", 5126: "<f4"}
_WIDTHS = {"SCALAR": 1, "VEC2": 2, "VEC3": 3, "VEC4": 4, "MAT4": 16}


class Character:
    """Surface points of a .glb character, posed by its clips.

    Args:
        path: the file.
        seed: of the points on the surface.
    """

    def __init__(self, path, seed=0):
        self._json, self._blob = _read_glb(path)
        self._parents = {
            child: i
            for i, node in enumerate(self._json["nodes"])
            for child in node.get("children", ())
        }
        self._clips = {clip["name"]: clip for clip in self._json["animations"]}
        missing = [name for name in ACTIONS if name not in self._clips]
        if missing:
            raise ValueError(f"{path} must have the clips {', '.join(ACTIONS)}. Missing: {missing}")
        skin = self._json["skins"][0]
        self._joints = skin["joints"]
        self._inverse = (
            self._array(skin["inverseBindMatrices"]).reshape(-1, 4, 4).transpose(0, 2, 1)
        )
        self._sample_surface(np.random.default_rng(seed))

    def pose(self, clip, share):
        """Points (N, 3) and normals (N, 3) at a share of a clip, 0 to 1; y is up."""
        world = self._world(clip, share)
        bones = np.stack([world[joint] for joint in self._joints]) @ self._inverse
        moved = np.einsum("nk,nkij->nij", self._weights, bones[self._bones])
        rigid = self._rigid >= 0
        if rigid.any():
            nodes = np.unique(self._rigid[rigid])
            for node in nodes:
                moved[self._rigid == node] = world[node]
        points = np.einsum("nij,nj->ni", moved[:, :3, :3], self._points) + moved[:, :3, 3]
        normals = np.einsum("nij,nj->ni", moved[:, :3, :3], self._normals)
        return points, normals / np.maximum(np.linalg.norm(normals, axis=1, keepdims=True), 1e-9)

    def _world(self, clip, share):
        local = [_matrix(node) for node in self._json["nodes"]]
        values = {}
        clip = self._clips[clip]
        for channel in clip["channels"]:
            sampler = clip["samplers"][channel["sampler"]]
            times, keys = self._array(sampler["input"]), self._array(sampler["output"])
            at = share * times[-1]
            i = (
                min(max(int(np.searchsorted(times, at)), 1), len(times) - 1)
                if len(times) > 1
                else 0
            )
            if i:
                w = np.clip((at - times[i - 1]) / max(times[i] - times[i - 1], 1e-9), 0, 1)
                end = (
                    keys[i] * (np.sign(keys[i] @ keys[i - 1]) or 1)
                    if len(keys[i]) == 4
                    else keys[i]
                )
                value = (1 - w) * keys[i - 1] + w * end
            else:
                value = keys[0]
            values.setdefault(channel["target"]["node"], {})[channel["target"]["path"]] = value
        for node, moved in values.items():
            local[node] = _matrix({**self._json["nodes"][node], **moved})

        @functools.cache
        def world(node):
            parent = self._parents.get(node)
            return local[node] if parent is None else world(parent) @ local[node]

        return [world(node) for node in range(len(local))]

    def _sample_surface(self, rng):
        parts, weapons = [], self._below("handslot.l") | self._below("handslot.r")
        for i, node in enumerate(self._json["nodes"]):
            if "mesh" in node and i not in weapons:
                for primitive in self._json["meshes"][node["mesh"]]["primitives"]:
                    parts.append((primitive, -1 if "skin" in node else i))
        texture = self._texture()
        areas = []
        for primitive, _ in parts:
            corners = self._corners(primitive, "POSITION")
            cross = np.cross(corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0])
            areas.append(np.linalg.norm(cross, axis=1))
        total = sum(area.sum() for area in areas)
        fields = {name: [] for name in ("points", "normals", "colors", "bones", "weights", "rigid")}
        for (primitive, rigid), area in zip(parts, areas):
            count = max(1, round(_POINTS * area.sum() / total))
            faces = rng.choice(len(area), count, p=area / area.sum())
            mix = rng.dirichlet((1, 1, 1), count)[..., None]
            uv = (self._corners(primitive, "TEXCOORD_0")[faces] * mix).sum(1)
            h, w = texture.shape[:2]
            xy = np.clip((uv % 1.0) * (w, h), 0, (w - 1, h - 1)).astype(int)
            fields["points"].append((self._corners(primitive, "POSITION")[faces] * mix).sum(1))
            fields["normals"].append((self._corners(primitive, "NORMAL")[faces] * mix).sum(1))
            fields["colors"].append(texture[xy[:, 1], xy[:, 0]])
            fields["rigid"].append(np.full(count, rigid))
            if rigid < 0:
                nearest = mix[..., 0].argmax(1)
                rows = np.arange(count)
                bones = self._corners(primitive, "JOINTS_0")[faces][rows, nearest].astype(int)
                weights = self._corners(primitive, "WEIGHTS_0")[faces][rows, nearest]
            else:
                bones, weights = np.zeros((count, 4), int), np.zeros((count, 4))
            fields["bones"].append(bones)
            fields["weights"].append(weights)
        for name, values in fields.items():
            setattr(self, "colors" if name == "colors" else f"_{name}", np.concatenate(values))

    def _below(self, name):
        """Indices of all nodes below the one of that name."""
        waiting = [i for i, node in enumerate(self._json["nodes"]) if node.get("name") == name]
        found = set()
        while waiting:
            children = self._json["nodes"][waiting.pop()].get("children", [])
            found.update(children)
            waiting += children
        return found

    def _corners(self, primitive, attribute):
        """Values (faces, 3, k) of an attribute at each face's corners."""
        faces = self._array(primitive["indices"]).reshape(-1, 3)
        return self._array(primitive["attributes"][attribute])[faces]

    def _texture(self):
        view = self._json["bufferViews"][self._json["images"][0]["bufferView"]]
        start = view.get("byteOffset", 0)
        data = np.frombuffer(self._blob, np.uint8, view["byteLength"], start)
        return cv2.imdecode(data, cv2.IMREAD_COLOR_RGB).astype("float32") / 255

    def _array(self, number):
        accessor = self._json["accessors"][number]
        view = self._json["bufferViews"][accessor["bufferView"]]
        width = _WIDTHS[accessor["type"]]
        start = view.get("byteOffset", 0) + accessor.get("byteOffset", 0)
        kind = np.dtype(_TYPES[accessor["componentType"]])
        values = np.frombuffer(self._blob, kind, accessor["count"] * width, start)
        if accessor.get("normalized"):
            values = values / np.iinfo(kind).max
        return values if width == 1 else values.reshape(-1, width)


class CharacterScenes(contextlib.nullcontext):
    """Draws clips of acting characters: static class ``body * 3 + outfit``, dynamic class the action.

    The place is a photo of the video. Camera (azimuth, distance, motion), phase, speed and light are drawn for
    each clip.

    Args:
        regime: "static-easy": outfits of three hues and all of the photo; "dynamic-easy": hues that hardly
            differ, and a pale photo.
        frames, size: of a clip.
        folder: of .glb files; the first five by name.
    """

    def __init__(self, regime, frames, size, folder):
        super().__init__(self)
        self._frames, self._size = frames, size
        self._tint, self._texture = {"static-easy": (0.7, 1.0), "dynamic-easy": (0.12, 0.25)}[
            regime
        ]
        files = sorted(Path(folder).glob("*.glb"))[:5]
        if len(files) < 5:
            raise FileNotFoundError(f"Expected five .glb files in {folder}. Found: {len(files)}")
        self._bodies = [Character(file) for file in files]
        self._poses = {}

    def video(self, kind, action, images, rng):
        """A function that draws one clip of a video after the other."""
        body, outfit = divmod(kind, len(OUTFITS))
        photo = draw_texture(rng, images, 2 * self._size)
        photo = 0.5 + self._texture * (photo - 0.5)
        hue = np.array(OUTFITS[outfit], "float32")
        colors = self._bodies[body].colors
        gray = colors.mean(axis=1, keepdims=True)
        colors = (1 - self._tint) * colors + self._tint * hue * (0.4 + gray)

        def clip():
            return self._clip(body, action, colors, photo, rng)

        return clip

    def _clip(self, body, action, colors, photo, rng):
        name = ACTIONS[action]
        speed = rng.uniform(0.8, 1.25)
        time = np.linspace(0, 1, self._frames)
        if name in CYCLES:
            shares = (rng.uniform() + 1.5 * speed * time) % 1.0
        else:
            shares = np.clip(rng.uniform(-0.1, 0.1) + (time - 0.5) * speed + 0.5, 0, 1)
        azimuth = np.radians(rng.uniform(-30, 30))
        center, zoom = rng.uniform(-0.06, 0.06, 2), rng.uniform(1.05, 1.25)
        pan = rng.uniform(-0.2, 0.2, 2) * (rng.random() < 0.5)
        light = rng.normal(size=3) + (0, 1, 1.5)
        gain = rng.uniform(0.75, 1.1)
        out = np.empty((self._frames, self._size, self._size, 3), np.uint8)
        for i, share in enumerate(shares):
            points, normals = self._pose(body, name, share)
            shift = center + pan * (time[i] - 0.5)
            facing = normals @ (np.sin(azimuth) * -1.0, 0, np.cos(azimuth)) > -0.1
            shade = 0.55 + 0.45 * np.clip(normals @ (light / np.linalg.norm(light)), 0, 1)
            shaded = (colors * shade[:, None])[facing]
            place = _moved(photo, pan * (time[i] - 0.5))
            picture = _splat(points[facing], shaded, place, azimuth, shift, zoom)
            small = cv2.resize(picture, (self._size, self._size), interpolation=cv2.INTER_AREA)
            out[i] = np.clip(255 * gain * small, 0, 255)
        return out

    def _pose(self, body, name, share):
        key = body, name, round(share * (_PHASES - 1))
        if key not in self._poses:
            pose = self._bodies[body].pose(name, key[2] / (_PHASES - 1))
            self._poses[key] = tuple(part.astype("float16") for part in pose)
        return tuple(part.astype("float32") for part in self._poses[key])


def _splat(points, colors, picture, azimuth, shift, zoom):
    """Points before a picture, the nearest one in each pixel."""
    side = len(picture)
    cos, sin = np.cos(azimuth), np.sin(azimuth)
    x, depth = cos * points[:, 0] + sin * points[:, 2], cos * points[:, 2] - sin * points[:, 0]
    scale = zoom * side / 2.6
    u = (side * (0.5 + shift[0]) + scale * x).astype(int)
    v = (side * (0.5 + shift[1]) - scale * (points[:, 1] - 1.1)).astype(int)
    inside = (u >= 0) & (u < side) & (v >= 0) & (v < side)
    order = np.argsort(depth[inside])  # the camera looks along -z: the nearest last
    u, v = u[inside][order], v[inside][order]
    layer, mask = np.zeros_like(picture), np.zeros(picture.shape[:2], "float32")
    layer[v, u], mask[v, u] = colors[inside][order], 1
    # What lies between points gets their mean color.
    near = cv2.blur(mask, (3, 3))[..., None]
    filled = np.where(mask[..., None] > 0, layer, cv2.blur(layer, (3, 3)) / np.maximum(near, 1e-6))
    shown = cv2.morphologyEx(mask, cv2.MORPH_CLOSE, np.ones((3, 3), np.uint8))[..., None]
    return np.where(shown > 0, filled, picture)


def _moved(photo, shift):
    side = len(photo)
    matrix = np.float32([[1, 0, shift[0] * side], [0, 1, shift[1] * side]])
    return cv2.warpAffine(
        photo.astype("float32"), matrix, (side, side), borderMode=cv2.BORDER_REFLECT
    )


def _matrix(node):
    x, y, z, w = node.get("rotation", (0, 0, 0, 1))
    n = np.sqrt(x * x + y * y + z * z + w * w)
    x, y, z, w = x / n, y / n, z / n, w / n
    matrix = np.eye(4)
    matrix[:3, :3] = [
        [1 - 2 * (y * y + z * z), 2 * (x * y - z * w), 2 * (x * z + y * w)],
        [2 * (x * y + z * w), 1 - 2 * (x * x + z * z), 2 * (y * z - x * w)],
        [2 * (x * z - y * w), 2 * (y * z + x * w), 1 - 2 * (x * x + y * y)],
    ]
    matrix[:3, :3] *= np.asarray(node.get("scale", (1, 1, 1)))
    matrix[:3, 3] = node.get("translation", (0, 0, 0))
    return matrix


def _read_glb(path):
    data = Path(path).read_bytes()
    magic, version, length = struct.unpack_from("<4sII", data)
    if magic != b"glTF" or version != 2 or length != len(data):
        raise ValueError(f"{path} must be a glTF 2 binary file.")
    size = struct.unpack_from("<I", data, 12)[0]
    return json.loads(data[20 : 20 + size]), data[28 + size :]
