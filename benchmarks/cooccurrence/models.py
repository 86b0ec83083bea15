"""Models that are not the package's: v-SimCLR with interventions on clips, scaled parts or a penalty on what
the parts share, and a projection head of two stages."""

import keras
from keras import ops

import bod_keras
from bod_keras.koopman.linalg import normalise_frames


@keras.saving.register_keras_serializable("benchmarks")
class StandardisedSimCLR(bod_keras.VSimCLR):
    """v-SimCLR that standardises the dynamic part, too: for one whose numbers hardly differ between clips."""

    standardized_parts = ("static", "dynamic")


@keras.saving.register_keras_serializable("benchmarks")
class HardNegativeInfoNCE(bod_keras.InfoNCE):
    """`InfoNCE` in which each clip has a negative of its own, a candidate more: with l(a_i) as there,

    l'(a_i) = log( exp(l(a_i)) + exp((s(a_i, w_i) - s(a_i, b_i)) / t) ).

    A view is (B, 2 K): the clips (B, K) and beside each its negative w_i (B, K).
    """

    def call(self, view_a, view_b):
        (a, wrong_a), (b, wrong_b) = (
            [normalise_frames(x) for x in ops.split(view, 2, axis=-1)] for view in (view_a, view_b)
        )
        across = ops.matmul(a, ops.transpose(b)) / self.temperature
        right = ops.diagonal(across)
        losses = [
            ops.logaddexp(
                self._direction(own, similarity),
                ops.sum(own * wrong, axis=-1) / self.temperature - right,
            )
            for own, wrong, similarity in (
                (a, wrong_a, across),
                (b, wrong_b, ops.transpose(across)),
            )
        ]
        return 0.5 * (losses[0] + losses[1])


@keras.saving.register_keras_serializable("benchmarks")
class IntervenedSimCLR(bod_keras.VSimCLR):
    """v-SimCLR that also contrasts clips which were intervened on, by their frame embeddings.

    A per-frame encoder's embeddings of a reversed or shuffled clip are those of the clip, in another order:
    the intervention costs a split and no pass of the encoder. With temporal kernels that does not hold; what
    intervenes on clips is a `motion_view` or a `static_view`.

    Args:
        encoder, decoupling, bilevel, **kwargs: as in `VSimCLR`; the encoder per frame.
        negative: ``"reversed"`` or ``"shuffled"``: for L_M each clip has its own copy of that kind as a
            further negative. None: no such.
        shuffled_positive: whether L_A sees all views but the first with their frames shuffled.
        foreign_frame: whether L_M sees z_t + c in the place of z_t, with c the first frame of another clip,
            drawn for each clip of each view. A copy has the c of its clip.
        seed: of all that is drawn.
    """

    def __init__(
        self,
        encoder,
        decoupling,
        bilevel=None,
        negative=None,
        shuffled_positive=False,
        foreign_frame=False,
        seed=None,
        **kwargs,
    ):
        super().__init__(encoder, decoupling, bilevel, **kwargs)
        if negative not in (None, "reversed", "shuffled"):
            raise ValueError(
                f'negative must be None, "reversed" or "shuffled". Received: {negative!r}'
            )
        self.negative = negative
        self.shuffled_positive = shuffled_positive
        self.foreign_frame = foreign_frame
        self.seed = seed
        self.generator = keras.random.SeedGenerator(seed)
        if negative:
            temperature = self.contrast["dynamic"].temperature
            self.contrast["dynamic"] = HardNegativeInfoNCE(temperature)

    def split_views(self, embeddings, decoupling, views, training):
        split_views = super().split_views

        def part_of(part, frames):
            return split_views(frames, decoupling, views, training)[0][part]

        seen, split = split_views(embeddings, decoupling, views, training)
        if self.shuffled_positive:
            first = ops.shape(embeddings)[0] // views
            rest = self._shuffled(embeddings[first:])
            seen["static"] = part_of("static", ops.concatenate([embeddings[:first], rest]))
        if self.foreign_frame:
            embeddings = embeddings + self._foreign(embeddings)
            seen["dynamic"] = part_of("dynamic", embeddings)
        if self.negative:
            reverse = self.negative == "reversed"
            copies = ops.flip(embeddings, axis=1) if reverse else self._shuffled(embeddings)
            pairs = zip(seen["dynamic"], part_of("dynamic", copies))
            seen["dynamic"] = [ops.concatenate(pair, axis=-1) for pair in pairs]
        return seen, split

    def _shuffled(self, frames):
        """Every clip in an order of its own."""
        order = ops.argsort(keras.random.uniform(ops.shape(frames)[:2], seed=self.generator))
        return ops.take_along_axis(frames, order[..., None], axis=1)

    def _foreign(self, frames):
        """For every clip the first frame (B, 1, D) of one drawn from all B, now and then of itself."""
        order = ops.argsort(keras.random.uniform(ops.shape(frames)[:1], seed=self.generator))
        return ops.take(frames[:, :1], order, axis=0)

    def get_config(self):
        return {
            **super().get_config(),
            "negative": self.negative,
            "shuffled_positive": self.shuffled_positive,
            "foreign_frame": self.foreign_frame,
            "seed": self.seed,
        }


@keras.saving.register_keras_serializable("benchmarks")
class LeakPenalisedSimCLR(bod_keras.VSimCLR):
    """v-SimCLR whose loss grows with what a clip's static part s and its dynamic part d tell alike.

    U + `leak_weight` CKA(s, d): the mean over the views of `unbiased_cka`, which is 0 for independent parts and
    1 for equal ones.

    Reference:
        Song et al., "Feature Selection via Dependence Maximization", JMLR 13 (2012), eq. 5, for HSIC; Kornblith
        et al., arXiv 1905.00414, for CKA.
    """

    def __init__(self, encoder, decoupling, bilevel=None, leak_weight=1.0, **kwargs):
        super().__init__(encoder, decoupling, bilevel, **kwargs)
        self.leak_weight = leak_weight

    @property
    def logged(self):
        return [*super().logged, "leak_loss"]

    def part_losses(self, features, targets, views, training):
        losses, embeddings, split = super().part_losses(features, targets, views, training)
        pairs = zip(ops.split(split.static, views), ops.split(split.dynamic, views))
        losses["leak"] = sum(unbiased_cka(s, d) for s, d in pairs) / views
        return losses, embeddings, split

    def get_config(self):
        return {**super().get_config(), "leak_weight": self.leak_weight}


def unbiased_cka(x, y):
    """Linear CKA of rows x (N, D) and y (N, K), N > 3: HSIC(x, y) / sqrt(HSIC(x, x) HSIC(y, y)).

    With k = x x' and m = y y' without their diagonals,

    HSIC = (tr(k m) + 1'k1 1'm1 / ((N-1)(N-2)) - 2 1'k m1 / (N-2)) / (N (N-3)).
    """
    n = ops.cast(ops.shape(x)[0], "float32")
    kernels = []
    for rows in (x, y):
        rows = rows - ops.mean(rows, axis=0)  # changes nothing but the rounding
        kernel = ops.matmul(rows, ops.transpose(rows))
        kernel = kernel / ops.mean(ops.diagonal(kernel))  # the same
        kernels.append(kernel - ops.diag(ops.diagonal(kernel)))

    def hsic(k, m):
        of_k, of_m = ops.sum(k, axis=0), ops.sum(m, axis=0)
        corner = ops.sum(of_k) * ops.sum(of_m) / ((n - 1) * (n - 2))
        return ops.sum(k * m) + corner - 2 * ops.sum(of_k * of_m) / (n - 2)

    k, m = kernels
    return hsic(k, m) / ops.sqrt(ops.maximum(hsic(k, k) * hsic(m, m), 1e-6))


@keras.saving.register_keras_serializable("benchmarks")
class TwoStageHead(keras.layers.Layer):
    """A projection head whose first half sees the features of an early stage, and the other those of the last.

    With a split by halves the static part then comes from the early stage alone.

    Args:
        early: how many features are of the early stage.
        hidden, width: of `ProjectionHead`, together: each half has the hidden layer and half of the width.

    Call arguments:
        features: (..., C), C > early, those of the early stage first.

    Returns:
        (..., width) embeddings, float32.
    """

    def __init__(self, early, hidden, width, **kwargs):
        super().__init__(**kwargs)
        self.early, self.hidden, self.width = early, hidden, width
        self.halves = [bod_keras.ProjectionHead(hidden, width // 2) for _ in range(2)]

    def build(self, input_shape):
        *lead, channels = input_shape
        for half, count in zip(self.halves, (self.early, channels - self.early)):
            half.build((*lead, count))

    def call(self, features, training=False):
        stages = features[..., : self.early], features[..., self.early :]
        embeddings = [half(x, training=training) for half, x in zip(self.halves, stages)]
        return ops.concatenate(embeddings, axis=-1)

    def compute_output_shape(self, input_shape):
        return (*input_shape[:-1], self.width)

    def get_config(self):
        own = {"early": self.early, "hidden": self.hidden, "width": self.width}
        return {**super().get_config(), **own}
