"""`GridAdamW`: AdamW with a learning rate and a weight decay for each of several networks side by side."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import keras
from keras import ops

from bod_keras.errors import UserError


@keras.saving.register_keras_serializable("bod_keras")
class GridAdamW(keras.optimizers.Adam):
    """AdamW for weights (G, ...) of G networks, each with its own rate and decay.

        w_g <- (1 - s r_g c_g) w_g,   then Adam's step of w_g with the rate s r_g

    where s is `learning_rate` at that step, the schedule that all share. Every weight decays, biases too, as
    PyTorch's AdamW does it.

    Args:
        learning_rate: s, a number or a schedule.
        rates: r, learning rates of the G networks.
        decays: c, their weight decays, as many.
        epsilon: of Adam.
        **kwargs: of `keras.optimizers.Adam`.

    Raises:
        ValueError: `rates` and `decays` differ in number, or are not positive and not negative.

    Example:
        >>> import keras
        >>> from bod_keras.training.grid_adamw import GridAdamW
        >>> weight = keras.Variable([[1.0], [1.0]])
        >>> GridAdamW(rates=(0.1, 0.2), decays=(0.0, 0.0)).apply([weight * 0 + 1], [weight])
        >>> [round(float(w), 3) for w in weight[:, 0]]
        [0.9, 0.8]

    Reference:
        Loshchilov and Hutter, "Decoupled Weight Decay Regularization", arXiv 1711.05101.
    """

    def __init__(
        self,
        learning_rate: Any = 1.0,
        rates: Sequence[float] = (1e-3,),
        decays: Sequence[float] = (0.0,),
        epsilon: float = 1e-8,
        name: str = "grid_adamw",
        **kwargs: Any,
    ):
        super().__init__(learning_rate, epsilon=epsilon, name=name, **kwargs)
        rates, decays = [float(r) for r in rates], [float(c) for c in decays]
        if len(rates) != len(decays) or not rates or min(rates) <= 0 or min(decays) < 0:
            raise UserError(
                "rates must be positive, and decays as many and not negative. Received: "
                f"rates={rates}, decays={decays}"
            )
        self.rates, self.decays = rates, decays

    def update_step(self, gradient, variable, learning_rate):
        dtype, shape = variable.dtype, (-1, *[1] * (len(variable.shape) - 1))
        of_each = (ops.convert_to_tensor(values, "float32") for values in (self.rates, self.decays))
        rates, decays = (ops.reshape(ops.cast(values, dtype), shape) for values in of_each)
        rates = ops.cast(learning_rate, dtype) * rates
        self.assign(variable, variable * (1 - rates * decays))
        super().update_step(gradient, variable, rates)

    def get_config(self):
        return {**super().get_config(), "rates": self.rates, "decays": self.decays}
