"""Weights of a PyTorch file into an encoder."""

from __future__ import annotations

import dataclasses
import os
import re

import keras
import numpy as np

from bod_keras.errors import UserError
from bod_keras.weights.layout import Layout, Tensor
from bod_keras.weights.layouts import LAYOUTS
from bod_keras.weights.state_file import read_state

# What peers call networks beside the one that is trained by gradients: averages of it, CoCLR's fixed sampler.
_SECOND = re.compile(
    r"(?:^|[._])(?:encoder_k|key|momentum|target|teacher|ema|hist|sampler)(?:[._])"
)
# Heads, queues and the counters of batch normalization: an encoder has none.
_UNUSED = re.compile(
    r"(.*\.)?num_batches_tracked|(fc|head|heads|cls_head|classifier|linear|mlp_head|project\w*|predict\w*|queue\w*)"
    r"(\d*)(\..*)?"
)
_SHOWN = 5


@dataclasses.dataclass(frozen=True)
class LoadReport:
    """What `load_torch` did with every key.

    Args:
        layout: name of the key scheme.
        prefix: what stands before its keys in the file.
        loaded: keys whose values the encoder now has.
        unused: keys of heads, of counters and of other networks.
        missing: keys that the encoder needs and the file lacks.
        unexpected: keys of the network for which the encoder has no weight.
        misshaped: lines that name a key, its shape in the file and the one that the encoder needs.

    Example:
        >>> from bod_keras.weights import LoadReport
        >>> report = LoadReport("torchvision", "module.", ("stem.0.weight",), unused=("fc.bias",))
        >>> print(report)
        1 tensor of torchvision's names, prefix 'module.'; not used: 1 (fc.bias)
    """

    layout: str
    prefix: str
    loaded: tuple[str, ...] = ()
    unused: tuple[str, ...] = ()
    missing: tuple[str, ...] = ()
    unexpected: tuple[str, ...] = ()
    misshaped: tuple[str, ...] = ()

    def __str__(self):
        count = len(self.loaded)
        parts = [f"{count} tensor{'s' * (count != 1)} of {self.layout}'s names"]
        parts[0] += f", prefix {self.prefix!r}" if self.prefix else ""
        kinds = {"not used": self.unused, **self.unfit()}
        return "; ".join(parts + [f"{kind}: {_some(keys)}" for kind, keys in kinds.items() if keys])

    def unfit(self) -> dict[str, tuple[str, ...]]:
        """The keys that a strict load refuses."""
        return {
            "missing in the file": self.missing,
            "unknown to the encoder": self.unexpected,
            "of another shape": self.misshaped,
        }


def load_torch(
    encoder: keras.Model, path: str | os.PathLike, strict: bool = True, prefix: str | None = None
) -> LoadReport:
    """Put the weights of a PyTorch file into an encoder.

    The names in the file may be those of any scheme that names the encoder's layers (docs/weights.md), behind
    any prefix: what data-parallel training, a contrastive framework or a checkpoint's dicts put before them
    (`module.`, `encoder_q.`, `state_dict.backbone.` and so on). Where a file has the network several
    times, the one trained by gradients is taken, not its momentum average.

    Heads (`fc.`, `head.`, `projector.` and such), queues and counters of batches are not used; a strict load
    does not mind them, nor other networks in the file. Nothing is assigned unless everything fits.

    Args:
        encoder: a model of `bod_keras.encoders`.
        path: a `.safetensors` file, which needs no PyTorch, or one of `torch.save`, which is read
            with `weights_only=True`.
        strict: raise if a weight is missing, left over or of another shape. If False, what fits is
            loaded.
        prefix: what stands before the encoder's keys, dicts included (`state_dict.encoder_k.`); None to
            find it.

    Returns:
        A `LoadReport`.

    Raises:
        FileNotFoundError, ImportError: as `read_state`.
        ValueError: if the file is not one of weights, nothing in it fits, several networks do, or, in a strict
            load, not everything does.

    Example:
        >>> import pathlib, tempfile
        >>> from bod_keras.encoders import R3D18
        >>> from bod_keras.weights import load_torch, save_torch
        >>> file = pathlib.Path(tempfile.mkdtemp(), "r3d.safetensors")
        >>> save_torch(R3D18(input_shape=(None, 16, 16, 3), width=2), file)
        >>> report = load_torch(R3D18(input_shape=(None, 16, 16, 3), width=2), file)
        >>> report.layout, len(report.loaded), report.missing
        ('torchvision', 100, ())
    """
    state = read_state(path)
    layout, tensors, prefix = _find(encoder, state, os.fspath(path), prefix)
    wanted = {key for tensor in tensors for key in tensor.keys}
    unused, unexpected = [], []
    for key in state:
        name = key[len(prefix) :]
        if not key.startswith(prefix):
            unused.append(key)
        elif name not in wanted:
            (unused if _is_unused(name, layout) else unexpected).append(key)
    unused.sort(key=lambda key: key.endswith("num_batches_tracked"))  # what says least comes last
    values, loaded, missing, misshaped = [], [], [], []
    for tensor in tensors:
        keys = [prefix + key for key in tensor.keys]
        absent = [key for key in keys if key not in state]
        missing += absent
        if absent:
            continue
        arrays = [state[key] for key in keys]
        unlike = [
            f"{key} {array.shape}, needed {own.shape}"
            for key, array, own in zip(keys, arrays, tensor.arrays())
            if array.shape != own.shape
        ]
        misshaped += unlike
        if not unlike:
            values.append((tensor.weight, tensor.to_keras(*arrays)))
            loaded += keys
    report = LoadReport(
        layout.name,
        prefix,
        *map(tuple, (loaded, unused, missing, unexpected, misshaped)),
    )
    wrong = {kind: keys for kind, keys in report.unfit().items() if keys}
    if not values or (strict and wrong):
        lines = "\n".join(f"  {kind}: {_some(keys)}" for kind, keys in wrong.items())
        raise UserError(
            f"{os.fspath(path)} does not fit {encoder.name}:\n{lines}\nNothing was loaded. Build the "
            "encoder with the file's width and kind, or load what fits with strict=False."
        )
    for weight, value in values:
        weight.assign(value)
    return report


def _find(
    encoder: keras.Model, state: dict[str, np.ndarray], path: str, prefix: str | None
) -> tuple[Layout, list[Tensor], str]:
    """The scheme and the prefix under which the file has most of the encoder's weights."""
    schemes = [(layout, layout.of(encoder)) for layout in LAYOUTS]
    schemes = [(layout, tensors) for layout, tensors in schemes if tensors]
    if not schemes:
        raise UserError(
            f"No scheme of PyTorch names covers the layers of {encoder.name}. Known are those of the encoders "
            "that docs/weights.md lists; name your layers as theirs."
        )
    counts = {}
    for layout, tensors in schemes:
        wanted = {key for tensor in tensors for key in tensor.keys}
        for key in state:
            for start in _starts(key):
                if key[start:] in wanted and prefix in (None, key[:start]):
                    place = layout.name, key[:start]
                    counts[place] = counts.get(place, 0) + 1
    if not counts:
        names = " or ".join(next(iter(tensors)).keys[0] for _, tensors in schemes)
        behind = "" if prefix is None else f" behind the prefix {prefix!r}"
        raise UserError(
            f"{path} holds no weight of {encoder.name}: none of its {len(state)} tensors is named as {names} is"
            f"{behind}. It has: {_some(tuple(state))}"
        )
    # An average that is complete does not stand in for a trained network that lacks a few weights.
    networks = [place for place, count in counts.items() if count > max(counts.values()) / 2]
    networks = [place for place in networks if not _SECOND.search(place[1])] or networks
    most = max(counts[place] for place in networks)
    places = [place for place in networks if counts[place] == most]
    if len(places) > 1:
        listed = ", ".join(repr(place[1]) for place in places)
        raise UserError(
            f"{path} holds {len(places)} networks that fit {encoder.name}, behind the prefixes "
            f"{listed}. Choose one with prefix=."
        )
    chosen, before = places[0]
    return next((layout, t, before) for layout, t in schemes if layout.name == chosen)


def _starts(key: str) -> list[int]:
    """Where a key may begin behind a prefix: at its front and after every dot."""
    return [0, *(dot.end() for dot in re.finditer(r"\.", key))]


def _is_unused(name: str, layout: Layout) -> bool:
    own = layout.unused and re.fullmatch(layout.unused, name)
    return bool(own or _UNUSED.fullmatch(name))


def _some(keys: tuple[str, ...]) -> str:
    more = ", ..." if len(keys) > _SHOWN else ""
    return f"{len(keys)} ({', '.join(keys[:_SHOWN])}{more})"
