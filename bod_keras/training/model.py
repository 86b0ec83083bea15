"""`BiLevelModel`: a Keras model whose training step is the bi-level update, on every backend."""

from __future__ import annotations

from typing import Any

import keras
import numpy as np
from keras import ops

from bod_keras.backend import autodiff, keras_private, replicas
from bod_keras.backend.unit_range import check_array, check_finite, check_range, unit_floats
from bod_keras.endless import is_endless
from bod_keras.errors import UserError
from bod_keras.training.chunks import run_in_chunks
from bod_keras.training.exclude_vectors import exclude_vectors_from_weight_decay
from bod_keras.training.seed_states import SeedStates
from bod_keras.training.step import Step


class BiLevelModel(SeedStates, keras.Model):
    """Base of models that train by a bi-level update around a backbone.

    A subclass says what is computed; the step (lower level, hypergradient, pull-back through the backbone,
    optimizer, statistics) is here. With `bilevel=None` it is an ordinary training step.

    A subclass sets ``self.bilevel`` and implements

    * ``backbone`` (attribute): the layer or model that turns clips into features;
    * ``upper_loss(features, targets, views, training) -> (scalar, logs, kept)``: the loss, a dict of scalars to
      log, and tensors for `after_update` or None;
    * ``lower_loss(features, views) -> scalar``: J, only needed with `bilevel`;
    * ``logged``: the names in `logs`, for the metrics;

    and, if it needs them, `targets`, `after_update`, `is_learning`, `all_views`, and ``augmenter``: a layer
    that every batch goes through first, such as `ClipAugmenter`.

    `features` are those of all clips, (V B, ...), view after view; `views` is V.

    Batches are arrays ``(B, V, T, H, W, 3)``, or dicts ``{"views": ..., "position": (B,)}`` where position
    counts the samples of the training stream; of a backbone of features ``(B, V, T, C)``. In place of views a
    dict may hold ``"features"``, (B, V, T', C'): what a backbone without weights to train gives for all views
    of a batch, those included that the model makes itself (`bod_keras.evaluation.TrainingFeatures`).

    The model keeps the first position of the last batch and the one that follows it (``first_position``,
    ``next_position``), so that a saved model knows where its data stood and a bad batch can be traced to its
    files; and it counts ``steps_taken``.

    Raises:
        ValueError: from `add_state`, a ``bilevel`` that the backend cannot do; while training, a batch that
            is not (B, V, T, H, W, C).

    Example:
        >>> import bod_keras, numpy as np
        >>> from keras import ops
        >>> class Spread(bod_keras.BiLevelModel):
        ...     logged = ["spread"]
        ...     def __init__(self, backbone):
        ...         super().__init__()
        ...         self.backbone = backbone
        ...         self.add_state()
        ...     def upper_loss(self, features, targets, views, training):
        ...         spread = ops.mean(ops.var(features, axis=0))
        ...         return -spread, {"spread": spread}, None
        >>> model = Spread(bod_keras.encoders.FrameCNN((4, 16, 16, 3), widths=(4,)))
        >>> model.compile("sgd")
        >>> views = np.random.default_rng(0).random((4, 2, 4, 16, 16, 3), "float32")
        >>> sorted(model.fit(views, verbose=0).history)
        ['loss', 'spread']
    """

    bilevel = None
    chunks = 1
    # Of losses that compare the videos of a batch.
    compares_with_negatives = False
    uses_batch_statistics = False

    def add_state(self) -> None:
        """Create what every bi-level model keeps; for the constructor of a subclass, once `logged` is known."""
        if not hasattr(self, "steps_taken"):
            for name in ("first_position", "next_position", "steps_taken"):
                counter = self.add_weight(
                    name=name, shape=(), dtype="int32", trainable=False, initializer="zeros"
                )
                setattr(self, name, counter)
            self.farthest_value = self.add_weight(
                name="farthest_value", shape=(), trainable=False, initializer="zeros"
            )
        if not hasattr(self, "augmenter"):  # no class attribute: on PyTorch it would hide a layer
            self.augmenter = None
        names = ["loss", *self.logged]
        self._means = {name: keras.metrics.Mean(name=name) for name in names}
        self.built = True

    @property
    def metrics(self) -> list[keras.metrics.Metric]:
        return list(self._means.values())

    def targets(self, clips: Any, views: int, training: bool) -> Any:
        """What the loss compares with and does not differentiate: a nested structure of tensors, or None.

        Computed once a step, before all else, from the weights as the last step left them.
        """

    @property
    def target_networks(self) -> list:
        """Layers that only serve `targets`, and so are not differentiated."""
        return []

    def target_features(self, network: keras.Model, clips: Any, views: int, training: bool) -> Any:
        """The output of a network for all clips, without gradient; in training by `chunks`.

        What has the shape of its output already, features in place of clips, passes.
        """
        if self._are_features(clips):
            return clips
        if training:
            return run_in_chunks(network, clips, views, self.chunks)
        return network(clips, training=False)

    def all_views(self, views: Any) -> Any:
        """The views (B, V, ...) of a batch, augmented, and what the model adds to them. Nothing by default."""
        return views

    def upper_loss(
        self, features: Any, targets: Any, views: int, training: bool
    ) -> tuple[Any, dict[str, Any], Any]:
        raise NotImplementedError(f"{type(self).__name__} must implement upper_loss")

    def lower_loss(self, features: Any, views: int) -> Any:
        raise NotImplementedError(f"{type(self).__name__} must implement lower_loss")

    def after_update(self, targets: Any, kept: Any) -> None:
        """What follows the optimizer's step, such as a momentum encoder or a queue. Nothing by default."""

    def is_learning(self) -> Any:
        """None, or a boolean tensor: where it is false a step leaves all trainable weights as they are."""

    def compile(self, optimizer: Any = "adamw", chunks: int = 1, **kwargs) -> None:
        """As `keras.Model.compile`; weight decay leaves out biases and batch-norm parameters.

        Keras does not save that exclusion with an optimizer, so it is the model's business. The optimizer is
        that of the upper level: clipping, gradient accumulation, weight averages and loss scaling act on the
        hypergradient and on its steps. The lower level steps on every batch, also between accumulated ones.

        Args:
            optimizer: as in Keras.
            chunks: of a training batch, which the backbone sees one by one; all else sees the whole batch:
                split, projection head, negatives, lower level. It keeps activations of one chunk, for one
                forward pass more. The gradient is that of the whole batch, unless the backbone has batch
                statistics (`bod_keras.training.chunks`).
            **kwargs: as in Keras.

        Raises:
            ValueError: ``jit_compile=True`` where the step cannot be compiled; chunks below 1, or more than 1
                where the lower level moves the backbone.
        """
        for name in ("loss", "metrics", "weighted_metrics", "loss_weights"):
            if kwargs.get(name) is not None:
                raise UserError(
                    f"compile({name}=...): {type(self).__name__} has its own loss, and logs its parts. Leave "
                    f"{name} out; evaluate the trained model with evaluate.py or a probe."
                )
        self._check_chunks(chunks, kwargs.get("jit_compile"))
        if kwargs.get("jit_compile") is True:
            self._check_jit()
        super().compile(optimizer=optimizer, **kwargs)
        self.chunks = chunks
        if chunks > 1 and autodiff.BACKEND == "tensorflow":
            self.jit_compile = False  # what "auto" may have chosen
        exclude_vectors_from_weight_decay(self.optimizer)
        if (
            not self.optimizer.built
        ):  # a compiled step may read its state before it is first applied
            self.optimizer.build(self.trainable_variables)

    def _check_chunks(self, chunks, jit_compile):
        if chunks < 1:
            raise UserError(
                f"chunks must be at least 1, the whole batch. Received: chunks={chunks}"
            )
        if chunks > 1 and self.bilevel is not None and self.bilevel.scope == "all":
            raise UserError(
                f'scope="all" moves the backbone within a step, so that chunks={chunks} cannot cache its '
                'features. Use scope="head", or an encoder with remat=True and chunks=1.'
            )
        if chunks > 1 and jit_compile is True and autodiff.BACKEND == "tensorflow":
            raise UserError(
                f"jit_compile=True: XLA on TensorFlow merges the two passes of chunks={chunks}, and keeps what "
                'they are to forget. Use jit_compile="auto", which does not compile, or the JAX backend.'
            )

    def _check_jit(self):
        """Refuse ``jit_compile=True`` where Keras would turn it off with a warning, or would go wrong."""
        if autodiff.BACKEND == "torch":
            raise UserError(
                "jit_compile=True: torch.compile does not compile this training step reliably. Use "
                'jit_compile="auto", which runs it eagerly, or the JAX or TensorFlow backend.'
            )
        without = [layer.name for layer in keras_private.all_layers(self) if not layer.supports_jit]
        if without:
            raise UserError(
                f"jit_compile=True: XLA on TensorFlow has no eigensolver, which {', '.join(without)} uses. "
                'Use projector_gradient=False, the JAX backend, or jit_compile="auto".'
            )

    def get_compile_config(self):
        config = super().get_compile_config()
        return (
            {**config, "chunks": self.chunks} if config else {}
        )  # of a model that is not compiled

    def _maybe_symbolic_build(self, iterator=None, data_batch=None):
        """Nothing, as the model is built when it is made; Keras would read a batch and start the data again."""

    def compile_from_config(self, config):
        self.compile(**keras.saving.deserialize_keras_object(config))

    def lower_weights(self) -> list:
        """What the lower level moves: all trainable weights, or those outside of the backbone."""
        if self.bilevel is not None and self.bilevel.scope == "all":
            return list(self.trainable_variables)
        backbone = {id(v) for v in self.backbone.trainable_variables}
        return [v for v in self.trainable_variables if id(v) not in backbone]

    def fit(
        self,
        x: Any = None,
        *args,
        callbacks: Any = None,
        steps_per_epoch: int | None = None,
        **kwargs,
    ) -> keras.callbacks.History:
        """As `keras.Model.fit`, after checks of what would go wrong in silence.

        Raises:
            ValueError: a model that is not compiled, clips that are not in [0, 1], an endless data set without
                `steps_per_epoch`, or an optimizer whose schedule has ended at a learning rate of 0.
        """
        if not self.compiled:
            raise UserError(
                "fit: the model has no optimizer yet. Compile it first, such as "
                "model.compile(keras.optimizers.AdamW(1e-3))."
            )
        if x is None:
            raise UserError(
                "fit: no clips. Pass views, an array (N, V, T, H, W, 3), or a data set such as "
                "bod_keras.data.ClipDataset(...).training()."
            )
        if (args[0] if args else kwargs.get("y")) is not None:
            raise UserError(
                f"fit: {type(self).__name__} learns without labels, so that y would be ignored. Pass x alone; "
                "train with labels by evaluate.py --protocol=finetune."
            )
        clips = _views_of(x)
        check_finite(x)  # of a dict `StopOnNonFinite` can name the source
        if self._takes_clips:
            check_array(clips)
        if isinstance(clips, np.ndarray) and len(clips) % (kwargs.get("batch_size") or 32) == 1:
            self._check_videos(1, clips)
        if steps_per_epoch is None and is_endless(x):
            raise UserError(
                "fit: the data set is endless. Pass steps_per_epoch, such as the number of videos divided by "
                "the batch size."
            )
        self._check_learning_rate()
        if callbacks is None or isinstance(callbacks, (list, tuple)):
            callbacks = [*(callbacks or []), _CheckRange()]
        return super().fit(x, *args, callbacks=callbacks, steps_per_epoch=steps_per_epoch, **kwargs)

    def train_on_batch(self, x: Any, *args, **kwargs) -> Any:
        """As `keras.Model.train_on_batch`; clips that are not in [0, 1] are refused."""
        if self._takes_clips:
            check_array(_views_of(x))
        return super().train_on_batch(x, *args, **kwargs)

    def _check_learning_rate(self):
        optimizer = self.optimizer
        if optimizer is None or not int(ops.convert_to_numpy(optimizer.iterations)):
            return
        if float(ops.convert_to_numpy(optimizer.learning_rate)) == 0:
            raise UserError(
                "fit: the learning-rate schedule has ended at 0, so nothing would be learned. Compile the "
                "model with a new optimizer to train on."
            )

    # -- the step ------------------------------------------------------------------------------------------

    def _learn(self, data):
        with keras_private.synchronized(self):
            return self._take_step(data)

    def _take_step(self, data):
        clips, views, position = self._unpack(data, training=True)
        step = Step.begin(self, clips, views)
        targets, state = step.targets()
        encoded = step.encode(state)
        update = step.update(encoded, targets)
        step.apply(encoded, update)
        logs, kept, _ = update.auxiliary
        # On TensorFlow what needs no data is also done in a step that finds a data set at its end.
        with autodiff.after_all([update.value]):
            self.after_update(targets, kept)
            self.steps_taken.assign_add(1)
            self._record_position(position)
        return self._log(self._finite(update.value), logs)

    def statistics(self) -> list:
        """The vectors that training keeps and does not differentiate, such as moving variances."""
        kept = self.non_trainable_variables
        is_float = keras.backend.is_float_dtype
        return [v for v in kept if len(v.shape) == 1 and is_float(v.dtype)]

    def _finite(self, loss):
        """The loss; nan where statistics are no longer finite, which a loss in training does not see."""
        kept = [ops.cast(v, "float32") for v in self.statistics()]
        if not kept:
            return loss
        return ops.where(ops.all(ops.isfinite(ops.concatenate(kept))), loss, float("nan"))

    def _unpack(self, data, training):
        """All views' clips (V B, T, H, W, C), view after view; V; and the positions or None."""
        data, _, _ = keras.utils.unpack_x_y_sample_weight(data)
        position = None
        if isinstance(data, dict):
            position = data.get("position")
            if "features" in data:
                return *self._unpack_features(data["features"], training), position
            data = data["views"]
        if len(data.shape) != self._input_rank + 1:
            axes = "time, height, width, channels" if self._takes_clips else "time, channels"
            raise UserError(
                f"A batch must have shape (batch, views, {axes}). Received: {tuple(data.shape)}"
            )
        data = self._with_known_size(data)
        if training:
            data = self._check_videos(data.shape[0], data)
        if self.augmenter is not None:
            data = self.augmenter(data, training=training)
        data = unit_floats(data)
        if training and self._takes_clips:
            farthest = ops.max(ops.abs(ops.cast(data, "float32") - 0.5))
            self.farthest_value.assign(ops.max(replicas.gather(farthest[None])))
        data = self.all_views(data)
        views = data.shape[1]
        clips = ops.reshape(ops.swapaxes(data, 0, 1), (-1, *data.shape[2:]))
        return clips, views, position

    @property
    def _input_rank(self):
        """Axes of what the backbone takes: 5 of clips (B, T, H, W, 3), 3 of features (B, T, C)."""
        return len(getattr(self.backbone, "input_shape", None) or range(5))

    @property
    def _takes_clips(self):
        return self._input_rank == 5

    def _are_features(self, clips):
        return len(clips.shape) < self._input_rank

    def _unpack_features(self, features, training):
        """All views' features (V B, T, C) in place of clips, and V."""
        expected = self.backbone.output_shape[1:]
        shape = tuple(features.shape)
        if len(shape) != 4 or any(a not in (None, b) for a, b in zip(expected, shape[2:])):
            raise UserError(
                "features must be those of all views, (batch, views, "
                f"{', '.join(map(str, expected))}). Received: {shape}"
            )
        if self.backbone.trainable_variables:
            raise UserError(
                "Features in place of views train no backbone, and this one has weights to train. Freeze it: "
                "FrameEncoder(..., frozen=True), or encoder.trainable = False."
            )
        if training:
            features = self._check_videos(shape[0], features)
        features = ops.cast(features, "float32")
        return ops.reshape(ops.swapaxes(features, 0, 1), (-1, *shape[2:])), shape[1]

    def _with_known_size(self, data):
        """The batch with the clip length and size that the backbone knows, where the data do not say it."""
        known = getattr(self.backbone, "input_shape", None)
        if known is None or None not in data.shape[1:] or data.shape[1] is None:
            return data
        shape = [own or other for own, other in zip(data.shape[2:], known[1:])]
        return data if None in shape else ops.reshape(data, (-1, data.shape[1], *shape))

    def _check_videos(self, videos, data):
        """Return the data; a loss that compares videos with each other needs two of them."""
        if not (self.compares_with_negatives or self.uses_batch_statistics):
            return data
        message = (
            f"{type(self).__name__} compares the videos of a batch and needs at least 2 of them. Choose a "
            "larger batch size, or one that leaves no single video over at the end of the data."
        )
        if videos is None:
            rows = ops.shape(data)[0]
            return autodiff.check(rows * replicas.count() > 1, message, rows, data)
        if videos * replicas.count() < 2:
            raise UserError(f"{message} Received: {videos}")
        return data

    def _evaluate(self, data):
        clips, views, _ = self._unpack(data, training=False)
        targets = self.targets(clips, views, training=False)
        features = self.target_features(self.backbone, clips, views, training=False)
        value, logs, _ = self.upper_loss(features, targets, views, training=False)
        return self._log(value, logs)

    def make_train_function(self, force: bool = False) -> None:
        strategy = getattr(self, "distribute_strategy", None)
        own = keras_private.multi_worker_function(self.train_step, strategy)
        if own is None:
            return super().make_train_function(force)
        if self.train_function is None or force:
            self.train_function = own

    train_step = keras_private.step_for_backend(_learn)
    test_step = keras_private.step_for_backend(_evaluate)

    def _log(self, loss, logs):
        # Each replica's loss is its share of the whole, as Keras' losses scale it.
        values = {"loss": loss * replicas.count(), **logs}
        joint = ops.stack([ops.cast(value, "float32") for value in values.values()])
        joint = replicas.mean_over_replicas(ops.stop_gradient(joint))
        for index, name in enumerate(values):
            self._means[name].update_state(joint[index])
        return {name: mean.result() for name, mean in self._means.items()}

    def _record_position(self, position):
        if position is not None:
            position = replicas.gather(ops.cast(position, "int32"))
            self.first_position.assign(ops.min(position))
            self.next_position.assign(ops.max(position) + 1)


class _CheckRange(keras.callbacks.Callback):
    """Stop after the first batch of clips that are not in [0, 1]."""

    def on_train_batch_end(self, batch, logs=None):
        if self._checked:
            return
        self._checked = True
        keras_private.fetch_state(self.model)
        check_range(float(ops.convert_to_numpy(self.model.farthest_value)))

    def on_train_begin(self, logs=None):
        self._checked = False


def _views_of(x):
    """The clips of what is passed to `fit`."""
    return x.get("views") if isinstance(x, dict) else x


def steps_taken(model: keras.Model) -> int:
    """Training steps of a model, those included that did not move the optimizer.

    Loss scaling leaves out a step that overflows, and gradient accumulation moves the weights every k-th
    step only: the optimizer's count lags behind that of the batches, by which a run resumes. Of a model that
    is no `BiLevelModel` it is all that there is.

    Args:
        model: a compiled Keras model.

    Returns:
        The number of batches it was trained on, an int.
    """
    # By an array: a strategy's variable is no number.
    return int(ops.convert_to_numpy(getattr(model, "steps_taken", model.optimizer.iterations)))
