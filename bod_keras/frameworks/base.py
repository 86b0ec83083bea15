"""`ContrastiveModel`: what all video contrastive frameworks share, plain and decoupled."""

import keras
from keras import ops

from bod_keras.backend.autodiff import gather, replicas, share
from bod_keras.errors import UserError
from bod_keras.frameworks.projection_head import ProjectionHead
from bod_keras.koopman.layer import KoopmanSplit
from bod_keras.losses.koopman_prediction import KoopmanPrediction
from bod_keras.training.model import BiLevelModel


class ContrastiveModel(BiLevelModel):
    """Encoder, projection head, and a contrastive loss on one part (plain) or two (decoupled).

    Every clip becomes frame embeddings z (B, T, D). Plain, the framework's loss L compares their time means.
    Decoupled, `decoupling` splits them into a static part s and a dynamic part d, and

        U = static_weight L(s) + dynamic_weight L(d) + base_weight L(mean_t z).

    With `standardize` the static part is first brought to mean 0 and variance 1 over the batch. Otherwise an
    encoder that learns the motion first, where that is easy, lets s become the same for all videos: L(s) stays
    at that of chance, with almost no gradient. A framework may name more ``standardized_parts``.

    With a `motion_view` the dynamic part is contrasted between the last view and a further one, which that
    layer makes of the first; the other parts between the views as they are.

    With a `static_view` the other parts see what that layer makes of each view but the last. The dynamic part
    sees the last view and the motion view, as does the lower level; without a motion view, the first view as it
    is in its place. Beside a motion view it adds no pass of the encoder.

    A framework is a subclass that implements ``part_loss(part, views, targets, training)``; see there.

    Args:
        encoder: a built Keras model, clips (B, T, H, W, 3) to frame features (B, T', C).
        decoupling: None (plain) or a `KoopmanSplit`.
        bilevel: None or a `BiLevel`; needs `decoupling`.
        projection_head: a layer (B, T, C) -> (B, T, D); `ProjectionHead()` if None.
        static_weight, dynamic_weight, base_weight, standardize: as above; a plain framework has no use for
            them.
        motion_view: None, or a layer from clips (B, T, H, W, 3) to clips of the same motion, such as
            `BackgroundSwap`; needs `decoupling`.
        static_view: None, or a layer from clips to clips of the same appearance, such as `FrameShuffle`, for
            encoders with temporal kernels; needs `decoupling`. It is called with ``training=True``.
        augmenter: None, or the layer that augments training batches on the device, a `ClipAugmenter`.

    Call arguments:
        clips: (B, T, H, W, 3), RGB in [0, 1].

    Returns:
        Frame embeddings (B, T', D).

    Raises:
        ValueError: an encoder that is not built or does not keep time, or `bilevel` without `decoupling`.

    Example:
        >>> import bod_keras
        >>> class VAlign(bod_keras.ContrastiveModel):
        ...     def part_loss(self, part, views, targets, training):
        ...         return keras.losses.MeanSquaredError()(*views)
        >>> encoder = bod_keras.encoders.FrameCNN(input_shape=(4, 16, 16, 3), widths=(4, 8))
        >>> VAlign(encoder, bod_keras.KoopmanSplit()).logged[:2]
        ['static_loss', 'dynamic_loss']

    Reference:
        Song et al., arXiv 2407.14069.
    """

    standardized_parts = ("static",)

    def __init__(
        self,
        encoder,
        decoupling=None,
        bilevel=None,
        projection_head=None,
        static_weight=1.0,
        dynamic_weight=1.0,
        base_weight=1.0,
        standardize=False,
        motion_view=None,
        static_view=None,
        augmenter=None,
        **kwargs,
    ):
        super().__init__(**kwargs)
        _check_encoder(encoder)
        if decoupling is None and bilevel is not None:
            raise UserError(
                "bilevel belongs to a decoupled framework: pass decoupling=bod_keras.KoopmanSplit(...) too, "
                "or leave it out."
            )
        for view, part, layer in (
            ("motion_view", "dynamic", motion_view),
            ("static_view", "static", static_view),
        ):
            if decoupling is None and layer is not None:
                raise UserError(
                    f"{view} is a view for the {part} part, which a plain framework has not: pass "
                    "decoupling=bod_keras.KoopmanSplit(...) too, or leave it out."
                )
        self.encoder = encoder
        self.decoupling = decoupling
        self.bilevel = bilevel
        self.augmenter = augmenter
        self.projection_head = projection_head or ProjectionHead()
        self.static_weight = static_weight
        self.dynamic_weight = dynamic_weight
        self.base_weight = base_weight
        self.standardize = standardize
        self.motion_view = motion_view
        self.static_view = static_view
        features = encoder.output_shape
        if not self.projection_head.built:
            self.projection_head.build(features)
        embeddings = self.projection_head.compute_output_shape(features)
        for layer in (motion_view, static_view):
            if layer is not None and not layer.built:
                layer.build(encoder.input_shape)
        # A plain model has no parts; they are read through an untrained split, for comparison.
        self.read_out_split = decoupling
        if decoupling is None:
            self.read_out_split = KoopmanSplit()
        if not self.read_out_split.built:
            self.read_out_split.build(embeddings)
        self.read_out_split.trainable = decoupling is not None
        if bilevel is not None:
            self.prediction = KoopmanPrediction(
                bilevel.prediction, ridge=decoupling.ridge, normalize=decoupling.normalize
            )
        self.add_state()

    @property
    def backbone(self):
        return self.encoder

    @property
    def logged(self):
        """Names of what a step logs besides the loss."""
        if self.decoupling is None:
            return []
        names = ["static_loss", "dynamic_loss"]
        names += ["base_loss"] if self.base_weight else []
        names += ["prediction_loss"] if self.bilevel else []
        return names + ["static_eigenvalues", "no_static", "spectral_radius"]

    @property
    def parts(self):
        """The parts that are contrasted, and their widths: ``{"static": D, "dynamic": K}``, ``{"base": D}``."""
        parts = {}
        width = self.projection_head.compute_output_shape(self.encoder.output_shape)[-1]
        if self.decoupling is not None:
            frames = keras.KerasTensor((None, self.encoder.output_shape[1], width))
            static, dynamic = self.decoupling.compute_output_spec(frames)
            parts = {"static": static.shape[-1], "dynamic": dynamic.shape[-1]}
        return parts | ({"base": width} if self.base_weight or not parts else {})

    @property
    def _has_own_views(self):
        """Whether the dynamic part sees other views than the rest: the last two."""
        return self.motion_view is not None or self.static_view is not None

    def part_loss(self, part, views, targets, training):
        """The framework's loss of one part, a scalar.

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
        return self.projection_head(self.encoder(clips, training=training), training=training)

    def read_out(self, clips):
        """Representations of clips (B, T, H, W, 3) for evaluation, a dict of float32 tensors.

        ``pooled``: time mean of the encoder's features (B, C); ``static`` (B, D) and ``dynamic`` (B, K): the
        two parts of the embeddings.
        """
        features = self.encoder(clips, training=False)
        embeddings = self.projection_head(features, training=False)
        static, dynamic = self.read_out_split(embeddings)
        pooled = ops.mean(ops.cast(features, "float32"), axis=1)
        return {"pooled": pooled, "static": static, "dynamic": dynamic}

    def all_views(self, views):
        if not self._has_own_views:
            return views
        clips = [views[:, i] for i in range(views.shape[1])]
        motion = clips[0] if self.motion_view is None else self.motion_view(clips[0])
        if self.static_view is not None:
            # In evaluation, too: without it L(s) is another loss.
            clips = [*(self.static_view(x, training=True) for x in clips[:-1]), clips[-1]]
        return ops.stack([*clips, motion], axis=1)

    def part_losses(self, features, targets, views, training):
        """The loss of every part: ``({part: scalar}, embeddings, split)``, the split None in a plain model."""
        embeddings = self.projection_head(features, training=training)
        parts, split = self.split_views(embeddings, self.decoupling, views, training)
        losses = {
            part: share(self.part_loss(part, seen, targets[part] if targets else None, training))
            for part, seen in parts.items()
        }
        return losses, embeddings, split

    def upper_loss(self, features, targets, views, training):
        losses, embeddings, split = self.part_losses(features, targets, views, training)
        if split is None:
            return losses["base"], {}
        # Not a sum of products: TensorFlow's optimiser may or may not take a common factor out of that, by
        # chance, and then the last bit of two equal runs differs.
        weights = [getattr(self, f"{part}_weight") for part in losses]
        total = ops.stack(list(losses.values())) * ops.convert_to_tensor(weights, "float32")
        logs = {f"{part}_loss": loss for part, loss in losses.items()}
        if self.bilevel:
            logs["prediction_loss"] = self._prediction(embeddings, views)
        logs = {name: loss * replicas() for name, loss in logs.items()}  # these are shares
        return ops.sum(total), {**logs, **self.decoupling.statistics(split)}

    def lower_loss(self, features, views):
        return self._prediction(self.projection_head(features, training=True), views)

    def split_views(self, embeddings, decoupling, views, training):
        """``({part: [view (B, D), ...]}, split)`` of frame embeddings (V B, T, D)."""
        parts, split = {}, None
        if decoupling is not None:
            split = decoupling.split(embeddings, training=training)
            parts = {"static": split.static, "dynamic": split.dynamic}
        if "base" in self.parts:
            parts["base"] = ops.mean(ops.cast(embeddings, "float32"), axis=1)
        seen = {part: ops.split(x, views, axis=0) for part, x in parts.items()}
        if self._has_own_views:
            seen = {part: x[-2:] if part == "dynamic" else x[:-1] for part, x in seen.items()}
        # Of all replicas, each of which then computes the loss of the joint batch.
        seen = {part: [gather(view) for view in x] for part, x in seen.items()}
        if self.standardize and decoupling is not None:
            seen |= {part: _standardised(seen[part]) for part in self.standardized_parts}
        return seen, split

    def _prediction(self, embeddings, views):
        """Mean over neighbouring views; of more than two, the last is paired with the first too."""
        parts = ops.split(embeddings, views, axis=0)
        if self.static_view is not None:  # the others have lost their order
            parts = parts[-2:]
        pairs = list(zip(parts, parts[1:] + parts[:1]))[: len(parts) if len(parts) > 2 else 1]
        return share(sum(self.prediction(a, b) for a, b in pairs) / len(pairs))

    def get_config(self):
        serialize = keras.saving.serialize_keras_object
        return {
            **super().get_config(),
            "encoder": serialize(self.encoder),
            "decoupling": serialize(self.decoupling),
            "bilevel": serialize(self.bilevel),
            "projection_head": serialize(self.projection_head),
            "static_weight": self.static_weight,
            "dynamic_weight": self.dynamic_weight,
            "base_weight": self.base_weight,
            "standardize": self.standardize,
            "motion_view": serialize(self.motion_view),
            "static_view": serialize(self.static_view),
            "augmenter": serialize(self.augmenter),
        }

    @classmethod
    def from_config(cls, config, custom_objects=None):
        config = dict(config)
        for name in (
            "encoder",
            "decoupling",
            "bilevel",
            "projection_head",
            "motion_view",
            "static_view",
            "augmenter",
        ):
            config[name] = keras.saving.deserialize_keras_object(config.get(name), custom_objects)
        return cls(**config)


def _standardised(views):
    """The views (B, D) of a part with mean 0 and variance 1 over all of them, number by number."""
    x = ops.stack(views)
    mean, variance = ops.mean(x, axis=(0, 1)), ops.var(x, axis=(0, 1))
    # The parts are small numbers, so what is too little to count is relative.
    least = 1e-5 * ops.mean(variance) + 1e-12
    return ops.unstack((x - mean) / ops.sqrt(variance + least), len(views))


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
