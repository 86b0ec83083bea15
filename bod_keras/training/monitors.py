"""Monitors of a run on fixed clips: do the embeddings collapse, does one part crowd the other out?"""

from __future__ import annotations

import math
from typing import Any

import keras
import numpy as np
from keras import ops
from tqdm import tqdm

from bod_keras.backend import autodiff, replicas
from bod_keras.errors import UserError
from bod_keras.training.embedding_statistics import embedding_statistics

_RECOVERED = 1.5  # times the floor; collapsed networks that are trained on wander about it


class Monitors(keras.callbacks.Callback):
    """Measure a framework on one fixed batch at the end of every `every`-th epoch, and say when it collapses.

    A training step costs nothing more, and the values of one epoch are comparable with those of another. Of
    every part that is contrasted ("static" and "dynamic", "base") it adds to the epoch's logs

    * the `bod_keras.training.embedding_statistics` of its embeddings: ``static_effective_rank``, ...;
    * ``static_gradient_norm``, ...: |g|, with g the gradient of the part's own loss, without its weight in U,
      with respect to all trainable weights of the backbone. A frozen backbone has none;

    and, decoupled, ``gradient_cosine``: the cosine of the static and the dynamic g, 0 where one of them is 0.
    Below zero the two losses work against each other on the backbone; and of norms that differ much, the
    larger one decides what it learns.

    Everything is computed as in a training step before its lower level, with statistics of this batch and
    with dropout, and nothing of the model changes. In half precision the losses are scaled as the optimizer
    does it, and by less where that overflows. Embeddings that are not finite give NaN.

    Put it before the callbacks that write logs. The first epoch that it sees is always measured, and the
    epochs between repeat the last values, so that every row of a `HistoryFile` has the same columns.

    Args:
        views: clips (B, V, T, H, W, 3) of B different videos, B and V at least 2, RGB in [0, 1]: a batch as
            for training. With as many as in training, the losses and so the gradients are like there.
        every: epochs from one measurement to the next.
        floor: an effective rank below it is a collapse, and a line is printed when a part gets there; again
            only after it was 1.5 times as high. Embeddings that are one point, or one direction and its
            opposite, have rank 1, and in an ordinary run rather as many as there are distinct contents. Of
            fewer than about 8 videos, or embeddings narrower than that, lower it.

    Raises:
        ValueError: views of another shape, `every` below 1, a model that is no `ContrastiveModel`, or a
            ``fit`` inside of a `tf.distribute` strategy's scope.

    Example:
        >>> import bod_keras, numpy as np
        >>> from bod_keras.training import Monitors
        >>> encoder = bod_keras.encoders.FrameCNN(input_shape=(4, 16, 16, 3), widths=(4, 8))
        >>> model = bod_keras.VSimCLR(encoder, decoupling=True)
        >>> model.compile("adam")
        >>> views = np.random.default_rng(0).random((8, 2, 4, 16, 16, 3), "float32")
        >>> history = model.fit(views, batch_size=8, verbose=0, callbacks=[Monitors(views)]).history
        >>> [name for name in history if "rank" in name or "cosine" in name]
        ['static_effective_rank', 'dynamic_effective_rank', 'gradient_cosine']

    Reference:
        That one semantics crowds out the other: Song et al., arXiv 2407.14069; collapse: Garrido et al.,
        "RankMe", arXiv 2210.02885.
    """

    def __init__(self, views: Any, every: int = 1, floor: float = 3.0):
        super().__init__()
        views = np.asarray(views, "float32")
        if views.ndim not in (4, 6) or min(views.shape[:2]) < 2:
            raise UserError(
                "views must be clips (videos, views, time, height, width, channels), or of an encoder that "
                "takes features these (videos, views, time, channels), of at least 2 videos, 2 views of each. "
                f"Received shape {views.shape}. A training batch is one."
            )
        if every < 1:
            raise UserError(f"every must be at least 1 epoch. Received: {every}")
        self.every = every
        self.floor = floor
        self._batch = views
        self._collapsed = set()
        self._last = {}

    def set_model(self, model):
        if not hasattr(model, "part_loss"):
            raise UserError(
                "Monitors reads the parts of a ContrastiveModel (bod_keras.VSimCLR, ...). Received: "
                f"{type(model).__name__}"
            )
        super().set_model(model)
        with model.kept_draws():
            views = ops.convert_to_numpy(model.all_views(self._batch))
        self._views = views.shape[1]
        self._clips = np.concatenate(list(np.swapaxes(views, 0, 1)))  # view after view

    def on_train_begin(self, logs=None):
        # Which weights are trainable may have changed since the last fit, so nothing compiled is kept.
        model = self.model
        if replicas.count() > 1:
            raise UserError(
                "Monitors cannot measure inside of strategy.scope(). Compile there, and call fit outside of it."
            )
        inner = {id(v) for v in model.backbone.trainable_variables}
        everything = model.trainable_variables + model.non_trainable_variables
        self._backbone = [v for v in everything if id(v) in inner]
        self._rest = [v for v in everything if id(v) not in inner]
        self._measure = self._measure_parts
        if not model.run_eagerly:
            self._measure = autodiff.compiled(self._measure_parts)

    def on_epoch_end(self, epoch, logs=None):
        if not self._last or (epoch + 1) % self.every == 0:
            embeddings, self._last = self.measure()
            for part, views in embeddings.items():
                self._tell(epoch, part, views)
        if logs is not None:
            logs.update(self._last)

    def measure(self):
        """Each part's embeddings, a list of arrays (B, D), and everything that is logged."""
        scale = float(self.model.optimizer.scale_loss(1.0))
        while True:
            embeddings, gradients = self._measure(
                autodiff.current_values(self._backbone),
                autodiff.current_values(self._rest),
                ops.convert_to_tensor(self._clips),
                ops.convert_to_tensor(scale, dtype="float32"),
            )
            gradients = {name: float(value) for name, value in gradients.items()}
            if scale <= 1 or all(map(math.isfinite, gradients.values())):
                break
            scale /= 16
        values = {}
        for part, views in embeddings.items():
            views = embeddings[part] = [ops.convert_to_numpy(view) for view in views]
            finite = np.isfinite(views).all()
            statistics = embedding_statistics(views if finite else np.zeros_like(views))
            for name, value in statistics.items():
                values[f"{part}_{name}"] = value if finite else math.nan
        return embeddings, values | gradients

    def _measure_parts(self, backbone, rest, clips, scale):
        """A pure function of values of the variables: the parts' embeddings, and what their gradients are."""
        model, views, variables = self.model, self._views, self._backbone + self._rest

        def call(fn, values):
            return autodiff.functional_call(fn, variables, [*values, *rest])[0]

        with autodiff.no_gradient():
            targets = call(lambda: model.targets(clips, views, training=True), backbone)

        def forward(part):
            features = model.backbone(clips, training=True)
            embeddings = model.projection_head(features, training=True)
            parts, _ = model.split_views(embeddings, model.split, views)
            seen = targets and targets[part]
            loss = model.contrasted_loss(part, parts[part], seen, training=True)
            return loss * scale, parts

        if not backbone:
            with autodiff.no_gradient():
                return call(lambda: forward(next(iter(model.parts))), backbone)[1], {}
        slopes = {}
        for part in model.parts:
            # A forward pass each: simpler than to share one, and it is one batch an epoch.
            _, parts, slopes[part] = autodiff.value_and_grad(
                lambda values, part=part: call(lambda: forward(part), values), backbone
            )
        norms = {part: ops.sqrt(_inner_product(g, g)) for part, g in slopes.items()}
        logs = {f"{part}_gradient_norm": norm / scale for part, norm in norms.items()}
        if "static" in slopes and "dynamic" in slopes:
            product = _inner_product(slopes["static"], slopes["dynamic"])
            norm = norms["static"] * norms["dynamic"]
            logs["gradient_cosine"] = ops.divide_no_nan(product, norm)
        return parts, logs

    def _tell(self, epoch, part, views):
        """Say that a part has collapsed: once, until it has recovered."""
        rank = self._last[f"{part}_effective_rank"]
        if rank > _RECOVERED * self.floor:
            self._collapsed.discard(part)
        if not rank < self.floor or part in self._collapsed:
            return
        self._collapsed.add(part)
        clips, width = len(views) * len(views[0]), views[0].shape[-1]
        # `print` would tear the progress bar.
        tqdm.write(
            f"Epoch {epoch + 1}: the {part} embeddings collapse: effective rank {rank:.2f} of at most "
            f"{min(clips, width)} ({width} wide, {clips} clips). To the loss different videos look the same. "
            "Lower the learning rate, take larger batches, or choose a framework with negatives (VSimCLR) or "
            "a variance term (VVICReg)."
        )


def _inner_product(one, other):
    """Of two lists of tensors, in float32. No matmul: on a GPU that may round to fewer bits."""
    pairs = zip(one, other)
    return sum(ops.sum(ops.cast(a, "float32") * ops.cast(b, "float32")) for a, b in pairs)
