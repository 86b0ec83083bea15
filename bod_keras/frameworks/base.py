"""`ContrastiveModel`: what all video contrastive frameworks share, plain and decoupled."""

from __future__ import annotations

import dataclasses
import inspect
import os
import warnings
from collections.abc import Callable
from typing import Any

import keras
import numpy as np
from keras import ops

from bod_keras.backend import replicas
from bod_keras.backend.replicas import gather, share
from bod_keras.backend.unit_range import TOLERANCE, unit_floats
from bod_keras.decoupling import BiLevel, Decoupling
from bod_keras.encoders.clip_model import ClipModel
from bod_keras.encoders.mixing import mixes_frames, pads_time_with_zeros
from bod_keras.errors import UserError
from bod_keras.frameworks.part_heads import PartHeads
from bod_keras.frameworks.projection_head import ProjectionHead
from bod_keras.koopman.layer import KoopmanSplit
from bod_keras.koopman.reference_code import ReferenceCodeSplit
from bod_keras.losses.decoupled import DecoupledLoss
from bod_keras.losses.koopman_prediction import KoopmanPrediction
from bod_keras.registry import Registry
from bod_keras.training.model import BiLevelModel
from bod_keras.views.appearance_swap import AppearanceSwap
from bod_keras.views.background_mix import BackgroundMix
from bod_keras.views.background_swap import BackgroundSwap
from bod_keras.views.frame_shuffle import FrameShuffle

FRAMEWORKS = Registry("framework", "bod_keras.frameworks")
_SWAPS = {"appearance_swap": AppearanceSwap, "background_swap": BackgroundSwap}
# Not where they are defined, for which Keras is not needed.
for _settings in (BiLevel, Decoupling):
    keras.saving.register_keras_serializable("bod_keras")(_settings)


class ContrastiveModel(BiLevelModel):
    """Encoder, projection head, and a contrastive loss on one part (plain) or two (decoupled).

    Every clip becomes frame embeddings z (B, T, D). Plain, the framework's loss L compares their time means.
    Decoupled, a `KoopmanSplit` splits them into a static part s and a dynamic part d, and

        U = L(s) + dynamic_weight L(d) + base_weight L(mean_t z).

    A framework is a subclass, registered with ``@FRAMEWORKS.register("name")``, that

    * has its arguments as attributes of the same names, and calls ``set_losses(make)`` in its constructor, with
      ``make(part)`` the loss of "static", "dynamic" or "base";
    * implements ``part_loss(part, views, targets, training)``;
    * says in class attributes what `Decoupling` has to know: ``compares_with_negatives`` (then it has
      temperatures), ``standardized_parts``, and ``in_epochs``: arguments that count steps, which a config
      counts in epochs, with their value there (None: the whole run).

    Args:
        encoder: a built Keras model, clips (B, T, H, W, 3) to frame features (B, T', C).
        decoupling: None: the plain framework. True: BOD-VCL in the recommended form. ``"paper"``: in the
            published form. A `Decoupling`: with its settings.
        projection_head: a layer (B, T, C) -> (B, T, D), `ProjectionHead()` if None. With two `heads` the other
            part has one like it, and the embeddings of both lie side by side, (B, T, 2 D) (`PartHeads`).
        augmenter: None, or the layer that augments training batches on the device, a `ClipAugmenter`.
        **kwargs: of `keras.Model`, such as `name`.

    Call arguments:
        clips: (B, T, H, W, 3), RGB in [0, 1].

    Returns:
        Frame embeddings (B, T', D).

    Raises:
        ValueError: an encoder that is not built or does not keep time; another `decoupling`; a head or an
            augmenter that is no layer.

    Example:
        >>> import keras, bod_keras
        >>> class VAlign(bod_keras.ContrastiveModel):
        ...     def __init__(self, encoder, decoupling=None, **kwargs):
        ...         super().__init__(encoder, decoupling, **kwargs)
        ...         self.set_losses(lambda part: keras.losses.MeanSquaredError())
        ...     def part_loss(self, part, views, targets, training):
        ...         return self.contrast[part](*views)
        >>> encoder = bod_keras.encoders.FrameCNN(input_shape=(4, 16, 16, 3), widths=(4, 8))
        >>> VAlign(encoder, decoupling=True).logged[:2]
        ['static_loss', 'dynamic_loss']

    Reference:
        Song et al., arXiv 2407.14069.
    """

    standardized_parts = ("static",)
    in_epochs: dict[str, float | None] = {}

    def __init__(
        self,
        encoder: keras.Model,
        decoupling: Decoupling | str | bool | None = None,
        projection_head: keras.layers.Layer | None = None,
        augmenter: keras.layers.Layer | None = None,
        **kwargs,
    ):
        super().__init__(**kwargs)
        _check_encoder(encoder)
        for name, layer in (("projection_head", projection_head), ("augmenter", augmenter)):
            if layer is not None and not isinstance(layer, keras.layers.Layer):
                raise UserError(f"{name} must be None or a Keras layer. Received: {layer!r}")
        decoupling = _settled(decoupling, encoder)
        self.encoder = encoder
        self.decoupling = decoupling
        self.augmenter = augmenter
        head = projection_head or ProjectionHead()
        self._heads = 1 if decoupling is None else decoupling.heads
        if self._heads == 2 and not isinstance(head, PartHeads):
            head = PartHeads(head)
        self.projection_head = head
        features = encoder.output_shape
        if not self.projection_head.built:
            self.projection_head.build(features)
        embeddings = self.projection_head.compute_output_shape(features)
        self.parts = {"base": embeddings[-1]}
        embeddings = (*embeddings[:-1], embeddings[-1] // self._heads)
        self.split = self.motion_view = self.static_view = self.mix = None
        if decoupling is not None:
            self.bilevel = decoupling.bilevel
            self.split = self.make_split()
            self.split.build(embeddings)
            spec = self.split.compute_output_spec(keras.KerasTensor((None, *embeddings[1:])))
            base = self.parts if decoupling.base_weight else {}
            self.parts = {"static": spec[0].shape[-1], "dynamic": spec[1].shape[-1], **base}
            self.motion_view = decoupling.motion_view
            if isinstance(self.motion_view, str):
                self.motion_view = _SWAPS[self.motion_view](decoupling.swap_threshold)
            shuffles = decoupling.static_view == "frame_shuffle"
            self.static_view = FrameShuffle() if shuffles else decoupling.static_view
            if decoupling.static_mix:
                # Not of the clip whose background the motion view has: L(d) would find it in both.
                self.mix = BackgroundMix(decoupling.swap_threshold)
            views = self.motion_view, self.static_view, self.mix
            if len(encoder.input_shape) != 5 and (self.motion_view or self.mix):
                raise UserError(
                    "motion_view and static_mix change the pixels of clips, and this encoder takes "
                    f"{encoder.input_shape}. Pass Decoupling(motion_view=None, static_mix=0.0); in a config "
                    'decoupling.motion_view="" and decoupling.static_mix=0.0, as configs/features.py has it.'
                )
            for layer in views:
                if layer is not None and not layer.built:
                    layer.build(encoder.input_shape)
        if self.bilevel is not None:
            self.prediction = KoopmanPrediction(self.bilevel.prediction, ridge=decoupling.ridge)
        self.add_state()

    def make_split(self) -> KoopmanSplit:
        """Return the split that the settings describe, not built. A study overrides it."""
        settings = self.decoupling
        if settings.reference_code:
            return ReferenceCodeSplit(settings.threshold)
        return KoopmanSplit(
            settings.threshold, settings.ridge, settings.read_out, settings.projector_gradient
        )

    def set_losses(self, make: Callable[[str], keras.losses.Loss]) -> None:
        """Set each part's loss, ``self.contrast[part]``, and of a decoupled model their `DecoupledLoss`."""
        self.contrast = {part: make(part) for part in self.parts}
        if self.decoupling is not None:
            self.objective = DecoupledLoss(
                self.contrast["static"], self.contrast["dynamic"], self.decoupling.dynamic_weight
            )

    def temperature_of(self, part: str) -> float:
        """The temperature of a part's loss: that of `Decoupling`, or the framework's own."""
        own = None
        if self.decoupling is not None and self.compares_with_negatives:
            own = getattr(self.decoupling, f"{part}_temperature", None)
        return self.temperature if own is None else own

    @property
    def backbone(self) -> keras.Model:
        return self.encoder

    @property
    def logged(self) -> list[str]:
        """Names of what a step logs besides the loss."""
        if self.decoupling is None:
            return []
        names = [f"{part}_loss" for part in self.parts]
        names += ["prediction_loss"] if self.bilevel else []
        names += ["static_eigenvalues", "no_static", "spectral_radius"]
        return names + [f"dynamic_{name}" for name in names[-3:] if self._heads == 2]

    @property
    def loss_weights(self) -> dict[str, float]:
        """Weight of each part's loss in the sum that is trained; of a plain model none."""
        if self.decoupling is None:
            return {}
        known = {"dynamic": self.decoupling.dynamic_weight, "base": self.decoupling.base_weight}
        return {part: known.get(part, 1.0) for part in self.parts}

    def chance_losses(self, videos: int) -> dict[str, float]:
        """Return each logged loss as it is where all embeddings are alike, of batches of so many videos.

        Losses without such a level are left out.
        """
        plain = self.decoupling is None
        levels = {part: self.chance_loss(part, videos) for part in self.parts}
        return {
            "loss" if plain else f"{part}_loss": level
            for part, level in levels.items()
            if level is not None
        }

    def chance_loss(self, part: str, videos: int) -> float | None:
        """Return a part's loss where all embeddings are alike; None: this framework has no such level."""
        return None

    @property
    def _has_own_views(self):
        """Whether the dynamic part sees other views than the rest."""
        return self.motion_view is not None or self.static_view is not None

    def part_loss(self, part: str, views: list, targets: Any, training: bool) -> Any:
        """Return the framework's loss of one part, a scalar.

        Let a `keras.losses.Loss` reduce it: in a step of several replicas each sees the views of all, and Keras
        or `share` makes that loss the replica's share of the whole.

        Args:
            part: "base", "static" or "dynamic".
            views: list of V embeddings (B, D), one a view.
            targets: the same of the momentum networks, in a `MomentumModel`; otherwise None.
            training: whether this is a training step.
        """
        raise NotImplementedError(f"{type(self).__name__} must implement part_loss")

    def call(self, clips, training=False):
        features = self.encoder(unit_floats(clips), training=training)
        return self.projection_head(features, training=training)

    # -- what a trained model is for -----------------------------------------------------------------------

    def embedder(self, frames: int | None = None) -> keras.Model:
        """Return a Functional model: clips (B, T, H, W, 3) to ``{"pooled", "static", "dynamic"}``, float32.

        It shares the weights of this model; `embed` uses it, and `export` writes it.

        Args:
            frames: T, of an encoder that takes clips of any length.

        Raises:
            ValueError: the encoder takes clips of any length, and `frames` is None.
        """
        time, *rest = self.encoder.input_shape[1:]
        time = time or frames
        # Past Keras' tracking: a model that shares all weights is no part of this one.
        known = self.__dict__.setdefault("_embedders", {})
        if time not in known:
            clips = keras.Input((time, *rest))
            features = self.encoder(clips, training=False)
            embeddings = self.projection_head(features, training=False)
            split = self.reading_split()
            both = [split(z) for z in self.part_embeddings(embeddings)]
            static, dynamic = both[0][0], both[-1][1]
            pooled = ops.mean(ops.cast(features, "float32"), axis=1)
            outputs = {"pooled": pooled, "static": static, "dynamic": dynamic}
            known[time] = ClipModel(clips, outputs, name=f"{self.name}_embedder")
        return known[time]

    def embed(self, clips: Any, batch_size: int = 32) -> dict[str, np.ndarray]:
        """Return the representations of clips, NumPy in and out on every backend.

        Args:
            clips: (N, T, H, W, 3), floats in [0, 1] or uint8; or one clip (T, H, W, 3). Of an encoder of
                features these, (N, T, C).
            batch_size: clips at a time.

        Returns:
            ``pooled``: time mean of the features (N, C); ``static`` (N, D) and ``dynamic`` (N, K): the
            two parts of the frame embeddings. A plain model's parts come through an untrained split.

        Raises:
            ValueError: clips of another shape or range.

        Example:
            >>> import numpy as np, bod_keras
            >>> encoder = bod_keras.encoders.FrameCNN(input_shape=(4, 16, 16, 3), widths=(4, 8))
            >>> model = bod_keras.VSimCLR(encoder, decoupling=True)
            >>> parts = model.embed(np.zeros((3, 4, 16, 16, 3), "uint8"))
            >>> parts["static"].shape
            (3, 32)
        """
        if keras.ops.is_tensor(clips):
            clips = ops.convert_to_numpy(clips)
        clips = np.asarray(clips)
        expected = self.encoder.input_shape[1:]
        rank = len(expected) + 1
        clips = clips[None] if clips.ndim == rank - 1 else clips
        fits = clips.ndim == rank and all(e in (None, s) for e, s in zip(expected, clips.shape[1:]))
        if not fits or not len(clips):
            raise UserError(
                f"embed expects clips (N, {', '.join(map(str, expected))}). Received: {clips.shape}"
            )
        embedder = self.embedder(clips.shape[1])
        found = [
            embedder(
                _in_unit_range(x) if rank == 5 else _finite(x),
                training=False,
            )
            for i in range(0, len(clips), batch_size)
            for x in [clips[i : i + batch_size]]
        ]
        # By name: PyTorch's tree functions sort what a model returns.
        return {
            name: np.concatenate([ops.convert_to_numpy(batch[name]) for batch in found])
            for name in ("pooled", "static", "dynamic")
        }

    def part_embeddings(self, embeddings: Any) -> list:
        """Return what is split by itself: the embeddings of both parts, or the one that both are read from."""
        return ops.split(embeddings, self._heads, axis=-1) if self._heads == 2 else [embeddings]

    def reading_split(self) -> KoopmanSplit:
        """The split that the parts are read through; of a plain model an untrained one, for comparison."""
        if self.split is not None:
            return self.split
        if "_reading_split" not in self.__dict__:
            split = KoopmanSplit()
            split.build(self.projection_head.compute_output_shape(self.encoder.output_shape))
            self.__dict__["_reading_split"] = split
        return self.__dict__["_reading_split"]

    def export(
        self,
        filepath: str | os.PathLike,
        format: str = "tf_saved_model",
        verbose: bool | None = None,
        input_signature: Any = None,
        **kwargs,
    ) -> None:
        """Export `embedder` as a SavedModel, as `keras.Model.export` does: clips in, all three parts out.

        Raises:
            ValueError: another format, for which `bod_keras.weights.export` is made.
        """
        if format != "tf_saved_model":
            raise UserError(
                'A framework exports format="tf_saved_model". For .onnx, .pt2 and others use '
                f"bod_keras.weights.export(model, path). Received: format={format!r}"
            )
        self.embedder().export(filepath, format, verbose, input_signature, **kwargs)

    # -- the loss ------------------------------------------------------------------------------------------

    def all_views(self, views: Any) -> Any:
        if not self._has_own_views and self.mix is None:
            return views
        clips = [views[:, i] for i in range(views.shape[1])]
        # In evaluation, too: without its draws a loss would be another one.
        motion = []
        if self._has_own_views:
            own = self.motion_view is not None
            motion = [self.motion_view(clips[-1], training=True) if own else clips[0]]
        if self.mix is not None:
            clips = [*map(self.mix, clips[:-1]), clips[-1]]
        if self.static_view is not None:
            clips = [*(self.static_view(x, training=True) for x in clips[:-1]), clips[-1]]
        return ops.stack([*clips, *motion], axis=1)

    def part_losses(self, features: Any, targets: Any, views: int, training: bool) -> tuple:
        """Return every part's loss, a dict of scalars; the embeddings; the parts; and the split or None."""
        embeddings = self.projection_head(features, training=training)
        parts, split = self.split_views(embeddings, self.split, views)
        losses = {
            part: share(
                self.contrasted_loss(part, seen, targets[part] if targets else None, training)
            )
            for part, seen in parts.items()
        }
        return losses, embeddings, parts, split

    def contrasted_loss(self, part: str, views: list, targets: Any, training: bool) -> Any:
        """Return `part_loss`, a scalar, over all that the views are compared with.

        Of the dynamic part it is the mean over the pairs of each view and the motion view; of the others
        that over the two videos that a view may show (`BackgroundMix`), weighted by `static_mix`.
        """
        if part == "dynamic":
            if not self._has_own_views:
                return self.part_loss(part, views, targets, training)
            losses = [
                self.part_loss(
                    part,
                    [views[i], views[-1]],
                    [targets[i], targets[-1]] if targets else None,
                    training,
                )
                for i in range(len(views) - 1)
            ]
            return sum(losses) / len(losses)
        loss = self.part_loss(part, views, targets, training)
        if self.mix is None:
            return loss
        own = self.decoupling.static_mix
        views, targets = (x and [*x[:-1], self.mix.partners(x[-1])] for x in (views, targets))
        return own * loss + (1 - own) * self.part_loss(part, views, targets, training)

    def upper_loss(
        self, features: Any, targets: Any, views: int, training: bool
    ) -> tuple[Any, dict[str, Any], Any]:
        losses, embeddings, parts, split = self.part_losses(features, targets, views, training)
        if split is None:
            return losses["base"], {}, parts
        total = self.objective.total(losses)
        if "base" in losses:
            total = total + self.decoupling.base_weight * losses["base"]
        logs = {f"{part}_loss": loss for part, loss in losses.items()}
        if self.bilevel:
            logs["prediction_loss"] = self._prediction(embeddings, views)
        logs = {name: loss * replicas.count() for name, loss in logs.items()}  # these are shares
        statistics = self.split.statistics(split[0])
        if self._heads == 2:
            of_dynamic = self.split.statistics(split[1])
            statistics |= {f"dynamic_{name}": value for name, value in of_dynamic.items()}
        return total, {**logs, **statistics}, parts

    def lower_loss(self, features: Any, views: int) -> Any:
        return self._prediction(self.projection_head(features, training=True), views)

    def split_views(self, embeddings: Any, split: Any, views: int) -> tuple[dict[str, list], Any]:
        """``({part: [view (B, D), ...]}, splits)`` of frame embeddings (V B, T, D); static comes first."""
        parts, result = {}, None
        if split is not None:
            splits = [split.split(z) for z in self.part_embeddings(embeddings)]
            result = splits[0], splits[-1]
            parts = {"static": result[0].static, "dynamic": result[1].dynamic}
        if "base" in self.parts:
            parts["base"] = ops.mean(ops.cast(embeddings, "float32"), axis=1)
        seen = {part: ops.split(x, views, axis=0) for part, x in parts.items()}
        if self._has_own_views:
            ordered = 0 if self.static_view is None else views - 2  # the others are shuffled
            seen = {part: x[ordered:] if part == "dynamic" else x[:-1] for part, x in seen.items()}
        # Of all replicas, each of which then computes the loss of the joint batch.
        seen = {part: [gather(view) for view in x] for part, x in seen.items()}
        if split is not None and self.decoupling.standardize:
            seen |= {part: _standardized(seen[part]) for part in self.standardized_parts}
        return seen, result

    def _prediction(self, embeddings, views):
        """Mean over neighboring views; of more than two, the last is paired with the first too."""
        parts = ops.split(embeddings, views, axis=0)
        if self.static_view is not None:  # the others have lost their order
            parts = parts[-2:]
        pairs = list(zip(parts, parts[1:] + parts[:1]))[: len(parts) if len(parts) > 2 else 1]
        # All pairs, of both heads, as one batch: small systems cost by their number of calls.
        one, other = (
            ops.concatenate([x for pair in pairs for x in self.part_embeddings(pair[side])], axis=0)
            for side in (0, 1)
        )
        return share(self.prediction(one, other))

    @classmethod
    def own_arguments(cls) -> dict[str, Any]:
        """Return the arguments that a framework adds to those of this class, with their defaults."""
        shared = inspect.signature(ContrastiveModel.__init__).parameters
        kinds = [kind for kind in reversed(cls.__mro__) if issubclass(kind, ContrastiveModel)]
        found = [inspect.signature(kind.__init__).parameters for kind in kinds]
        return {
            name: argument.default
            for arguments in found
            for name, argument in arguments.items()
            if name not in shared and argument.kind is not argument.VAR_KEYWORD
        }

    def get_config(self):
        """Return all arguments: those of a subclass are attributes of the same names.

        Raises:
            UserError: one is no attribute, and no `get_config` of the class that has it says what it is.
        """
        serialize = keras.saving.serialize_keras_object
        own = [name for name in self.own_arguments() if hasattr(self, name)]
        writer = next(kind for kind in type(self).__mro__ if "get_config" in vars(kind))
        written = {*own, *inspect.signature(writer.__init__).parameters}
        if missing := [name for name in self.own_arguments() if name not in written]:
            raise UserError(
                f"{type(self).__name__} cannot be saved: its argument {missing[0]!r} is no attribute of this "
                f"name. Keep it in __init__ (self.{missing[0]} = {missing[0]}), or override get_config."
            )
        return {
            **super().get_config(),
            **{name: getattr(self, name) for name in own},
            "encoder": serialize(self.encoder),
            "decoupling": serialize(self.decoupling),
            "projection_head": serialize(self.projection_head),
            "augmenter": serialize(self.augmenter),
        }

    @classmethod
    def from_config(cls, config, custom_objects=None):
        config = dict(config)
        if "bilevel" in config:
            raise UserError(
                "This model was saved by bod_keras 0.1, whose settings were others. Load it with "
                "bod_keras==0.1.0, or train it again. Its encoder.keras still loads."
            )
        for name in ("encoder", "decoupling", "projection_head", "augmenter"):
            config[name] = keras.saving.deserialize_keras_object(config.get(name), custom_objects)
        return cls(**config)


def _settled(decoupling, encoder):
    """The `Decoupling` of a framework and an encoder, with everything decided; None of a plain one."""
    if decoupling is None or decoupling is False:
        return None
    if decoupling is True:
        decoupling = Decoupling()
    elif isinstance(decoupling, str):
        decoupling = Decoupling.named(decoupling)
    if not isinstance(decoupling, Decoupling):
        raise UserError(
            'decoupling must be None, True, "paper", "reference-code" or a bod_keras.Decoupling(...). '
            f"Received: {decoupling!r}"
        )
    if decoupling.static_view == "auto":
        mixes = mixes_frames(encoder)
        if mixes and pads_time_with_zeros(encoder):
            warnings.warn(
                "The encoder's convolutions over time see zeros beyond the ends of a clip, a change in time "
                "that every clip shares: the dynamic part may learn nothing else. Call "
                "bod_keras.encoders.repeat_edges(encoder) before, or build it with repeated edges.",
                stacklevel=4,
            )
        view = "frame_shuffle" if mixes else None
        decoupling = dataclasses.replace(decoupling, static_view=view)
    return decoupling


def _standardized(views):
    """The views (B, D) of a part with mean 0 and variance 1 over all of them, number by number."""
    x = ops.stack(views)
    mean, variance = ops.mean(x, axis=(0, 1)), ops.var(x, axis=(0, 1))
    # The parts are small numbers, so what is too little to count is relative.
    least = 1e-5 * ops.mean(variance) + 1e-12 * ops.mean(ops.square(x)) + 1e-30
    return ops.unstack((x - mean) / ops.sqrt(variance + least), len(views))


def _finite(features):
    features = np.asarray(features, "float32")
    if not np.isfinite(features).all():
        raise UserError("features must be finite. Received: NaN or infinity among their values.")
    return features


def _in_unit_range(clips):
    """Clips as floats in [0, 1], from uint8 too."""
    floats = unit_floats(clips)
    if not np.isfinite(ops.convert_to_numpy(floats)).all():
        raise UserError("clips must be finite. Received: NaN or infinity among their values.")
    if floats is clips and not -TOLERANCE <= clips.min() <= clips.max() <= 1.0 + TOLERANCE:
        raise UserError(
            f"clips must lie in [0, 1]. Received values from {clips.min():g} to {clips.max():g}: "
            "divide by 255, or pass uint8."
        )
    return floats


def _check_encoder(encoder):
    shape = getattr(encoder, "output_shape", None) if getattr(encoder, "built", False) else None
    if shape is None:
        raise UserError(
            "encoder must be a built Keras model with a known output shape, such as "
            "bod_keras.encoders.FrameCNN(...) or any Functional model."
        )
    if len(shape) != 3:
        raise UserError(
            "encoder must keep time and return frame features (batch, time, channels): pool over space "
            f"only. Received an output of shape {shape}"
        )
