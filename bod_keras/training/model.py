"""`BiLevelModel`: a Keras model whose training step is the bi-level update, on every backend."""

import keras
from keras import ops

from bod_keras.backend import autodiff
from bod_keras.errors import UserError
from bod_keras.training.batch_norm import BatchNorm
from bod_keras.training.bilevel import bilevel_gradient
from bod_keras.training.pieces import check_chunks, run_in_pieces, vjp_in_pieces
from bod_keras.training.seed_states import SeedStates


class BiLevelModel(SeedStates, keras.Model):
    """Base of models that train by a bi-level update around a backbone.

    A subclass says what is computed; the step (lower level, hypergradient, pull-back through the backbone,
    optimizer, statistics) is here. With `bilevel=None`, or `inner_steps=0`, it is an ordinary training step.

    A subclass sets ``self.bilevel`` and implements

    * ``backbone`` (attribute): the layer or model that turns clips into features;
    * ``upper_loss(features, targets, views, training) -> (scalar, logs)``: the loss, a dict of scalars to log;
    * ``lower_loss(features, views) -> scalar``: J, only needed with `bilevel`;
    * ``logged``: the names in `logs`, for the metrics;

    and, if it needs them, `targets`, `after_update`, `is_learning`, `all_views`, and ``augmenter``: a layer
    that every batch goes through first, such as `ClipAugmenter`.

    `features` are those of all clips, (V B, ...), view after view; `views` is V.

    Batches are arrays ``(B, V, T, H, W, 3)``, or dicts ``{"views": ..., "position": (B,)}`` where position
    counts the samples of the training stream. The model keeps the first position of the last batch and the
    one that follows it (``first_position``, ``next_position``), so that a saved model knows where its data
    stood and a bad batch can be traced to its files; and it counts ``steps_taken``.

    Raises:
        ValueError: from `add_state`, a ``bilevel`` that the backend cannot do; while training, a batch that
            is not (B, V, T, H, W, C).

    Example:
        >>> class Spread(BiLevelModel):
        ...     logged = ["spread"]
        ...     def __init__(self, backbone):
        ...         super().__init__()
        ...         self.backbone = backbone
        ...         self.add_state()
        ...     def upper_loss(self, features, targets, views, training):
        ...         spread = ops.mean(ops.var(features, axis=0))
        ...         return -spread, {"spread": spread}
        >>> import bod_keras
        >>> model = Spread(bod_keras.encoders.FrameCNN((4, 16, 16, 3), widths=(4,)))
        >>> model.compile("sgd")
        >>> views = np.random.default_rng(0).random((4, 2, 4, 16, 16, 3), "float32")
        >>> sorted(model.fit(views, verbose=0).history)
        ['loss', 'spread']
    """

    bilevel = None
    chunks = 1

    def add_state(self):
        """Create what every bi-level model keeps.

        Subclasses call it at the end of ``__init__``; one that adds weights of its own to those of another
        subclass calls it again.
        """
        if not hasattr(self, "steps_taken"):
            for name in ("first_position", "next_position", "steps_taken"):
                counter = self.add_weight(
                    name=name, shape=(), dtype="int32", trainable=False, initializer="zeros"
                )
                setattr(self, name, counter)
            self._velocities = {}
        if not hasattr(self, "augmenter"):  # no class attribute: on PyTorch it would hide a layer
            self.augmenter = None
        self._has_lower_level = self.bilevel is not None and self.bilevel.inner_steps > 0
        if self._has_lower_level and self.bilevel.hypergradient == "exact":
            self._check_second_derivatives()
        # Weights, so that they are saved with the model and known to a compiled step.
        if self._has_lower_level and self.bilevel.inner_momentum:
            for weight in self._lower_weights():
                if id(weight) in self._velocities:
                    continue
                self._velocities[id(weight)] = self.add_weight(
                    name=f"velocity_{len(self._velocities)}",
                    shape=weight.shape,
                    dtype="float32",
                    trainable=False,
                    initializer="zeros",
                )
        names = ["loss", *self.logged]
        self._means = {name: keras.metrics.Mean(name=name) for name in names}
        self.built = True

    @property
    def metrics(self):
        return list(self._means.values())

    def targets(self, clips, views, training):
        """What the loss compares with and does not differentiate: a nested structure of tensors, or None.

        Computed once a step, before all else, from the weights as the last step left them.
        """

    @property
    def target_networks(self):
        """Layers that only serve `targets`, and so are not differentiated."""
        return []

    def target_features(self, network, clips, views, training):
        """The output of a network for all clips, without gradient; in training by `chunks`."""
        if training:
            return run_in_pieces(network, clips, views, self.chunks)
        return network(clips, training=False)

    def all_views(self, views):
        """The views (B, V, ...) of a batch, augmented, and what the model adds to them. Nothing by default."""
        return views

    def upper_loss(self, features, targets, views, training):
        raise NotImplementedError(f"{type(self).__name__} must implement upper_loss")

    def lower_loss(self, features, views):
        raise NotImplementedError(f"{type(self).__name__} must implement lower_loss")

    def after_update(self, targets):
        """What follows the optimizer's step, such as a momentum encoder. Nothing by default."""

    def is_learning(self):
        """None, or a boolean tensor: where it is false a step leaves all trainable weights as they are."""

    def compile(self, optimizer="adamw", chunks=1, **kwargs):
        """As `keras.Model.compile`; weight decay leaves out biases and batch-norm parameters.

        Keras does not save that exclusion with an optimizer, so it is the model's business. The optimizer is
        that of the upper level: clipping, gradient accumulation, weight averages and loss scaling act on the
        hypergradient and on its steps. The lower level steps on every batch, also between accumulated ones.

        Args:
            optimizer: as in Keras.
            chunks: pieces in which the backbone sees a training batch; all else sees the whole batch: split,
                projection head, negatives, lower level. It keeps activations of one piece, for one forward
                pass more. The gradient is that of the whole batch, unless the backbone has batch statistics
                (`bod_keras.training.pieces`).
            **kwargs: as in Keras.

        Raises:
            ValueError: ``jit_compile=True`` where the step cannot be compiled; chunks below 1, or more than 1
                where the lower level moves the backbone.
        """
        self._check_chunks(chunks, kwargs.get("jit_compile"))
        if kwargs.get("jit_compile") is True:
            self._check_jit()
        super().compile(optimizer=optimizer, **kwargs)
        self.chunks = chunks
        if chunks > 1 and autodiff.BACKEND == "tensorflow":
            self.jit_compile = False  # what "auto" may have chosen
        inner = getattr(self.optimizer, "inner_optimizer", self.optimizer)
        if inner.weight_decay and not inner.built:
            inner.exclude_from_weight_decay(var_names=["bias", "gamma", "beta"])
        if (
            not self.optimizer.built
        ):  # a compiled step may read its state before it is first applied
            self.optimizer.build(self.trainable_variables)

    def _check_chunks(self, chunks, jit_compile):
        if chunks < 1:
            raise UserError(
                f"chunks must be at least 1, the whole batch. Received: chunks={chunks}"
            )
        if chunks > 1 and self._has_lower_level and self.bilevel.scope == "all":
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
        without = [layer.name for layer in self._flatten_layers() if not layer.supports_jit]
        if without:
            raise UserError(
                f"jit_compile=True: XLA on TensorFlow has no eigensolver, which {', '.join(without)} uses. "
                'Use KoopmanSplit(method="resolvent", count=None), the JAX backend, or jit_compile="auto".'
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

    def _lower_weights(self):
        """What the lower level moves: all trainable weights, or those outside of the backbone."""
        if self.bilevel is not None and self.bilevel.scope == "all":
            return list(self.trainable_variables)
        backbone = {id(v) for v in self.backbone.trainable_variables}
        return [v for v in self.trainable_variables if id(v) not in backbone]

    def _check_second_derivatives(self):
        """``"exact"`` differentiates the lower level twice: TensorFlow cannot do that to `ops.moments`."""
        if autodiff.BACKEND != "tensorflow":
            return
        outside = [
            *self.target_networks,
            *([self.backbone] if self.bilevel.scope == "head" else []),
        ]
        left_out = {id(layer) for network in outside for layer in network._flatten_layers()}
        layers = [layer for layer in self._flatten_layers() if id(layer) not in left_out]
        kinds = (keras.layers.BatchNormalization, keras.layers.GroupNormalization)
        wrong = [v.name for v in layers if isinstance(v, kinds) and not isinstance(v, BatchNorm)]
        wrong.sort()
        if wrong:
            raise UserError(
                'hypergradient="exact" goes through normalisation layers whose second derivative is wrong on '
                f"TensorFlow: {', '.join(wrong[:3])}{' ...' if wrong[3:] else ''}. Use "
                'hypergradient="finite_difference", scope="head", bod_keras.training.BatchNorm in their place, '
                "or another backend."
            )

    # -- the step ------------------------------------------------------------------------------------------

    def _learn(self, data):
        with autodiff.synchronised(self._flatten_layers()):
            return self._take_step(data)

    def _take_step(self, data):
        clips, views, position = self._unpack(data, training=True)
        check_chunks(clips, views, self.chunks)
        head = self._lower_weights()
        inside = {id(v) for v in head}
        outer = [v for v in self.trainable_variables if id(v) not in inside]
        state = self.non_trainable_variables
        frozen = autodiff.current_values(state)
        head_values = autodiff.current_values(head)
        outer_values = autodiff.current_values(outer)

        def call(fn, outer_now, head_now, state_now):
            result, values = autodiff.functional_call(
                fn, outer + head + state, list(outer_now) + list(head_now) + list(state_now)
            )
            return result, values[len(outer) + len(head) :]

        with autodiff.no_gradient():
            targets, state_now = call(
                lambda: self.targets(clips, views, training=True), outer_values, head_values, frozen
            )

        def backbone(values, clips, state_now):
            return call(lambda: self.backbone(clips, training=True), values, head_values, state_now)

        def upper(values, inputs):
            def loss():
                features = inputs[0] if outer else self.backbone(clips, training=True)
                return self.upper_loss(features, targets, views, training=True)

            (value, logs), new_state = call(loss, outer_values, values, state_after)
            return value, (logs, new_state)

        def lower(values, inputs):
            # Its updates of statistics and seeds are dropped: they move once a step, in the upper pass.
            def loss():
                features = inputs[0] if outer else self.backbone(clips, training=True)
                return self.lower_loss(features, views)

            return call(loss, outer_values, values, frozen)[0]

        if outer:
            features, state_after, pull_back = vjp_in_pieces(
                backbone, outer_values, clips, views, state_now, self.chunks
            )
            inputs = [features]
        else:
            inputs, state_after = [], state_now
        update = bilevel_gradient(
            upper,
            lower,
            head_values,
            inputs,
            self.bilevel,
            scale=_loss_scale(self.optimizer),
            reduce=autodiff.sum_over_replicas,
            **self._inner_state(head),
        )
        # Before anything is assigned: in pieces the backbone runs again, from the state that it had.
        outer_gradients = pull_back(update.cotangents[0]) if outer else []
        logs, new_state = update.auxiliary
        learning = self.is_learning()
        if learning is not None:
            moving = [*outer, *head, *self._velocities.values(), *self.optimizer.variables]
            before = [ops.copy(x) for x in autodiff.current_values(moving)]
        autodiff.assign(state, new_state)
        self._keep_inner_state(head, update)
        gradients = zip(outer + head, outer_gradients + update.gradients)
        gradient_of = {id(variable): gradient for variable, gradient in gradients}
        trainable = self.trainable_variables
        autodiff.apply_gradients(self.optimizer, [gradient_of[id(v)] for v in trainable], trainable)
        if learning is not None:
            for variable, old in zip(moving, before):
                variable.assign(ops.where(learning, variable.value, old))
        self.after_update(targets)
        self.steps_taken.assign_add(1)
        self._record_position(position)
        return self._log(update.value, logs)

    def _unpack(self, data, training):
        """All views' clips (V B, T, H, W, C), view after view; V; and the positions or None."""
        data, _, _ = keras.utils.unpack_x_y_sample_weight(data)
        position = None
        if isinstance(data, dict):
            position = data.get("position")
            data = data["views"]
        if len(data.shape) != 6:
            raise UserError(
                "A batch must have shape (batch, views, time, height, width, channels). "
                f"Received: {tuple(data.shape)}"
            )
        if self.augmenter is not None:
            data = self.augmenter(data, training=training)
        data = self.all_views(data)
        views = data.shape[1]
        clips = ops.reshape(ops.swapaxes(data, 0, 1), (-1, *data.shape[2:]))
        return clips, views, position

    def _inner_state(self, head):
        """Velocities and rates of the lower level, arguments of `bilevel_gradient`."""
        if not self._has_lower_level:
            return {}
        return {
            "velocities": autodiff.current_values([self._velocities[id(v)] for v in head])
            if self._velocities
            else None,
            "rates": self.bilevel.rates(
                ops.convert_to_tensor(self.steps_taken) * self.bilevel.inner_steps
            ),
        }

    def _keep_inner_state(self, head, update):
        if not self._has_lower_level:
            return
        autodiff.assign(head, update.weights)
        if self._velocities:
            autodiff.assign([self._velocities[id(v)] for v in head], update.velocities)

    def _evaluate(self, data):
        clips, views, _ = self._unpack(data, training=False)
        targets = self.targets(clips, views, training=False)
        features = self.backbone(clips, training=False)
        value, logs = self.upper_loss(features, targets, views, training=False)
        return self._log(value, logs)

    def make_train_function(self, force=False):
        strategy = getattr(self, "distribute_strategy", None)
        own = autodiff.multi_worker_function(self.train_step, strategy)
        if own is None:
            return super().make_train_function(force)
        if self.train_function is None or force:
            self.train_function = own

    train_step = autodiff.step_for_backend(_learn)
    test_step = autodiff.step_for_backend(_evaluate)

    def _log(self, loss, logs):
        # Each replica's loss is its share of the whole, as Keras' losses scale it.
        values = {"loss": loss * autodiff.replicas(), **logs}
        joint = ops.stack([ops.cast(value, "float32") for value in values.values()])
        joint = autodiff.mean_over_replicas(ops.stop_gradient(joint))
        for index, name in enumerate(values):
            self._means[name].update_state(joint[index])
        return {name: mean.result() for name, mean in self._means.items()}

    def _record_position(self, position):
        if position is not None:
            position = autodiff.gather(ops.cast(position, "int32"))
            self.first_position.assign(ops.min(position))
            self.next_position.assign(ops.max(position) + 1)


def steps_taken(model):
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


def _loss_scale(optimizer):
    """1, or what a `LossScaleOptimizer` multiplies the loss by."""
    return optimizer.scale_loss(ops.ones((), dtype="float32"))
