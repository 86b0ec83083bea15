"""What Keras leaves out of a saved model: how far its random numbers have gone."""

import contextlib
from collections.abc import Iterator

import numpy as np
from keras import ops

from bod_keras.errors import UserError


class SeedStates:
    """Mix-in of a `keras.Model`: the states of random seeds (dropout) are saved with its weights.

    So a model that is loaded from a checkpoint draws what the saved one would have drawn next.

    Raises:
        ValueError: when weights are loaded, if the model has another number of seeds than the file.

    Example:
        >>> from bod_keras.training import SeedStates
        >>> import keras
        >>> class Net(SeedStates, keras.Model):
        ...     def __init__(self):
        ...         super().__init__()
        ...         self.dropout = keras.layers.Dropout(0.5)
        >>> store = {}
        >>> Net().save_own_variables(store)
        >>> list(store)
        ['seed_0']
    """

    def seed_variables(self):
        weights = {id(v) for v in self.weights}
        return [v for v in self.non_trainable_variables if id(v) not in weights]

    @contextlib.contextmanager
    def kept_draws(self) -> Iterator[None]:
        """What is drawn inside moves none of the model's generators: a run draws as it would without it."""
        seeds = self.seed_variables()
        before = [ops.convert_to_numpy(seed).copy() for seed in seeds]
        try:
            yield
        finally:
            for seed, value in zip(seeds, before):
                seed.assign(value)

    def set_draws(self, *key: int) -> None:
        """Set all generators to a state that follows from integers: equal keys draw alike."""
        for index, seed in enumerate(self.seed_variables()):
            rng = np.random.default_rng([*key, index])
            seed.assign(rng.integers(2**32, size=seed.shape, dtype="uint32"))

    def save_own_variables(self, store):
        super().save_own_variables(store)
        for index, seed in enumerate(self.seed_variables()):
            store[f"seed_{index}"] = ops.convert_to_numpy(seed)

    def load_own_variables(self, store):
        names = [name for name in store.keys() if name.startswith("seed_")]
        seeds = self.seed_variables()
        if len(names) != len(seeds):
            raise UserError(
                f"The file holds the states of {len(names)} random seeds, this model has {len(seeds)}. "
                "Build the model as it was when it was saved."
            )
        for index, seed in enumerate(seeds):
            seed.assign(store[f"seed_{index}"])
        super().load_own_variables({k: store[k] for k in store.keys() if k not in names})
