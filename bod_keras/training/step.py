"""One training step of a `BiLevelModel`, stage by stage, as docs/method.md section 7 states it."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from typing import Any

from keras import ops

from bod_keras.backend import autodiff, replicas
from bod_keras.training.bilevel import Update, bilevel_gradient
from bod_keras.training.chunks import check_chunks, vjp_in_chunks


@dataclasses.dataclass(frozen=True)
class Encoded:
    """Features of a batch, the state (batch statistics, seeds) after them, and the way back to the backbone."""

    features: list
    state: list
    pull_back: Callable[[Any], list]


@dataclasses.dataclass(frozen=True)
class Step:
    """What one step starts from: a batch, and the values of all variables as the last step left them.

    Args:
        model: a `BiLevelModel`.
        clips: (V B, T, H, W, C), view after view.
        views: V.
        outer, head, state: variables: of the backbone, where the lower level leaves it alone; what the lower
            level moves; and what is not trained.
        outer_values, head_values, state_values: their values.
    """

    model: Any
    clips: Any
    views: int
    outer: list
    head: list
    state: list
    outer_values: list
    head_values: list
    state_values: list

    @classmethod
    def begin(cls, model: Any, clips: Any, views: int) -> Step:
        clips = check_chunks(clips, views, model.chunks)
        head = model.lower_weights()
        inside = {id(v) for v in head}
        outer = [v for v in model.trainable_variables if id(v) not in inside]
        groups = outer, head, model.non_trainable_variables
        return cls(model, clips, views, *groups, *map(autodiff.current_values, groups))

    def targets(self) -> tuple[Any, list]:
        """Stage 1. What the loss compares with, from the weights as they are; and the state after it."""
        with autodiff.no_gradient():
            return self._call(
                lambda: self.model.targets(self.clips, self.views, training=True),
                self.outer_values,
                self.head_values,
                self.state_values,
            )

    def encode(self, state: list) -> Encoded:
        """Stage 2. The backbone, once, or chunk by chunk; nothing if the lower level moves it."""
        if not self.outer:
            network = self.model.backbone
            if network.trainable_variables:
                return Encoded([], state, lambda cotangent: [])
            with autodiff.no_gradient():
                features, state = self._call(
                    lambda: self.model.target_features(network, self.clips, self.views, True),
                    self.outer_values,
                    self.head_values,
                    state,
                )
            return Encoded([features], state, lambda cotangent: [])

        def backbone(values, clips, state_now):
            return self._call(
                lambda: self.model.backbone(clips, training=True),
                values,
                self.head_values,
                state_now,
            )

        features, state, pull_back = vjp_in_chunks(
            backbone, self.outer_values, self.clips, self.views, state, self.model.chunks
        )
        return Encoded([features], state, pull_back)

    def update(self, encoded: Encoded, targets: Any) -> Update:
        """Stage 3. The lower level, and the hypergradient of the upper one."""

        def upper(values, inputs):
            (value, logs, kept), state = self._call(
                lambda: self.model.upper_loss(
                    self._features(inputs), targets, self.views, training=True
                ),
                self.outer_values,
                values,
                encoded.state,
            )
            return value, (logs, kept, state)

        def lower(values, inputs):
            # Its updates of statistics and seeds are dropped: they move once a step, in the upper pass.
            return self._call(
                lambda: self.model.lower_loss(self._features(inputs), self.views),
                self.outer_values,
                values,
                self.state_values,
            )[0]

        return bilevel_gradient(
            upper,
            lower,
            self.head_values,
            encoded.features,
            self.model.bilevel,
            scale=loss_scale(self.model.optimizer),
            reduce=replicas.sum_over_replicas,
        )

    def apply(self, encoded: Encoded, update: Update) -> None:
        """Stage 4. Back through the backbone; then weights, state and optimizer are assigned."""
        # Before anything is assigned: of chunks the backbone runs again, from the state that it had.
        outer_gradients = encoded.pull_back(update.cotangents[0]) if self.outer else []
        model, (_, _, state) = self.model, update.auxiliary
        moving = [*self.outer, *self.head, *model.optimizer.variables]
        learning = model.is_learning()
        before = []
        if learning is not None:
            before = [ops.copy(x) for x in autodiff.current_values(moving)]
        autodiff.assign(self.state, state)
        if model.bilevel is not None:
            autodiff.assign(self.head, update.weights)
        gradients = zip(self.outer + self.head, outer_gradients + update.gradients)
        gradient_of = {id(variable): gradient for variable, gradient in gradients}
        trainable = model.trainable_variables
        autodiff.apply_gradients(
            model.optimizer, [gradient_of[id(v)] for v in trainable], trainable
        )
        for variable, old in zip(moving, before):
            variable.assign(ops.where(learning, variable.value, old))

    def _features(self, inputs):
        return inputs[0] if inputs else self.model.backbone(self.clips, training=True)

    def _call(self, fn, outer, head, state):
        """``fn()`` with these values of the variables: its result, and the state after it."""
        result, values = autodiff.functional_call(
            fn, self.outer + self.head + self.state, [*outer, *head, *state]
        )
        return result, values[len(outer) + len(head) :]


def loss_scale(optimizer: Any) -> Any:
    """1, or what a `LossScaleOptimizer` multiplies the loss by."""
    return optimizer.scale_loss(ops.ones((), dtype="float32"))
