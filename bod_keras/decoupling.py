"""`Decoupling`: all that makes a framework BOD-VCL, and every default of it. This module needs no Keras."""

from __future__ import annotations

import dataclasses
from typing import Any

from bod_keras.errors import UserError, check_choice

# The projection head of every framework, plain or decoupled: one width for both parts.
HIDDEN, WIDTH = 128, 32
RIDGE = 0.1
SWAP_THRESHOLD = 0.08
# What monitors and plots call near 1, where the split itself has no threshold.
USUAL_THRESHOLD = 0.1
_SCOPES = ("head", "all")
_PREDICTIONS = ("cross_clip", "in_sample")


@dataclasses.dataclass(frozen=True)
class BiLevel:
    """Settings of the bi-level update.

    Lower level J: the error of Koopman predictions, `KoopmanPrediction`. Upper level U: the contrastive loss.

        w_0 = w,   w_k = w_(k-1) - inner_learning_rate grad J(w_(k-1)),   k = 1..inner_steps
        h   = dU(w_n) / dw, by finite differences through the inner steps
        w   = optimizer(w_n, h)

    Args:
        inner_steps: n, at least 1.
        inner_learning_rate: step of the lower level, in units of weight per gradient of J.
        scope: ``"head"``: the lower level moves the projection head only, and the backbone is run once a
            step; ``"all"``: it moves every trainable weight, as published, at about four times the cost.
        prediction: kind of `KoopmanPrediction`, ``"cross_clip"`` or ``"in_sample"`` (as published).

    Raises:
        ValueError: a setting out of its range.

    Example:
        >>> import bod_keras
        >>> bod_keras.BiLevel(inner_steps=2).scope
        'head'

    Reference:
        Song et al., arXiv 2407.14069; the finite difference is that of Liu et al., "DARTS", arXiv 1806.09055,
        eq. 8.
    """

    inner_steps: int = 1
    inner_learning_rate: float = 1.0
    scope: str = "head"
    prediction: str = "cross_clip"

    def __post_init__(self):
        if not isinstance(self.inner_steps, int) or self.inner_steps < 1:
            raise UserError(
                "inner_steps must be at least 1; bilevel=None leaves the lower level out. "
                f"Received: {self.inner_steps}"
            )
        if not self.inner_learning_rate > 0:
            raise UserError(
                f"inner_learning_rate must be positive. Received: {self.inner_learning_rate}"
            )
        check_choice("scope", self.scope, _SCOPES)
        check_choice("prediction", self.prediction, _PREDICTIONS)

    def get_config(self) -> dict[str, Any]:
        return dataclasses.asdict(self)

    @classmethod
    def from_config(cls, config: dict[str, Any]) -> BiLevel:
        return cls(**config)


@dataclasses.dataclass(frozen=True)
class Decoupling:
    """All that makes a framework BOD-VCL. Its defaults are the recommended form.

    The frame embeddings z of a clip are split into a static part s and a dynamic part d (`KoopmanSplit`), each
    from an embedding of its own, and contrasted separately:

        U = L(s) + dynamic_weight L(d) + base_weight L(mean_t z).

    Args:
        threshold, ridge, read_out, projector_gradient: as in `KoopmanSplit`.
        reference_code: split as the published code does (`ReferenceCodeSplit`), which takes `threshold` alone.
        heads: 2: each part has a projection head and an embedding of its own, split by itself. 1: both parts
            are read from one embedding.
        bilevel: a `BiLevel`, or None: no lower level.
        static_temperature, dynamic_temperature: of the losses of s and d, in frameworks that compare with
            negatives; None: the framework's own temperature.
        dynamic_weight: weight of L(d).
        base_weight: weight of the framework's ordinary loss on the time mean of z.
        standardize: bring the static part to mean 0 and variance 1 over the batch first. Otherwise an encoder
            that learns the motion first makes s constant across videos, so that L(s) stays at chance level.
        motion_view: what shows the same motion and another appearance: L(d) contrasts what this
            makes of the last view with every view whose frames are in order. ``"appearance_swap"``,
            ``"background_swap"``, None (L(d) contrasts the views with each other), or a Keras layer.
        swap_threshold: least change, of values in [0, 1], that counts as motion in these two and `static_mix`.
        static_view: what shows the same appearance and another motion: the static part sees it instead of
            every view but the last. ``"auto"`` (`FrameShuffle` for encoders that mix frames, None for others),
            ``"frame_shuffle"``, None, or a Keras layer.
        static_mix: a in [0, 1). In half of the videos, what moves in every view but the last stands over the
            background of another video (`BackgroundMix`), and the static part of such a view belongs to both:
            L(s) = a L(s, video of what moves) + (1 - a) L(s, video of the background). 0: views keep their
            backgrounds, which may then be all that s learns.

    Raises:
        ValueError: a setting out of its range.

    Example:
        >>> import bod_keras
        >>> bod_keras.Decoupling(ridge=0.3, motion_view=None).dynamic_temperature
        0.1

    Reference:
        Song et al., arXiv 2407.14069; docs/findings.md says what each default is founded on.
    """

    threshold: float | None = None
    ridge: float = RIDGE
    read_out: Any = "operator"
    projector_gradient: bool = False
    reference_code: bool = False
    heads: int = 2
    bilevel: BiLevel | None = dataclasses.field(default_factory=BiLevel)
    static_temperature: float | None = 0.2
    dynamic_temperature: float | None = 0.1
    dynamic_weight: float = 1.0
    base_weight: float = 0.0
    standardize: bool = True
    motion_view: Any = "appearance_swap"
    swap_threshold: float = SWAP_THRESHOLD
    static_view: Any = "auto"
    static_mix: float = 0.5

    def __post_init__(self):
        if isinstance(self.bilevel, dict):
            object.__setattr__(self, "bilevel", BiLevel(**self.bilevel))
        for name, value, choices in (
            ("motion_view", self.motion_view, ("appearance_swap", "background_swap")),
            ("static_view", self.static_view, ("auto", "frame_shuffle")),
        ):
            if isinstance(value, str):
                check_choice(name, value, choices)
        if self.heads not in (1, 2):
            raise UserError(f"heads must be 1 or 2. Received: {self.heads}")
        for name in ("base_weight", "dynamic_weight"):
            if not getattr(self, name) >= 0:
                raise UserError(f"{name} must not be negative. Received: {getattr(self, name)}")
        if not 0 <= self.static_mix < 1:
            raise UserError(f"static_mix must lie in [0, 1). Received: {self.static_mix}")

    @classmethod
    def named(cls, name: str) -> Decoupling:
        """Return a named form.

        ``"recommended"``: the defaults.

        ``"paper"``: the published form, as far as the paper's text settles it: threshold 0.1, hard split with
        its full gradient, almost no ridge, the time mean of the dynamic part, the framework's own temperature,
        no further views, and a lower level on all weights with the in-sample prediction error.

        ``"reference-code"``: the same, split as the code does that the first author published, which differs
        from the text (`ReferenceCodeSplit`). For reproduction only.

        Raises:
            ValueError: another name.
        """
        check_choice("decoupling", name, NAMED)
        return cls(**NAMED[name])

    def get_config(self) -> dict[str, Any]:
        import keras

        config = {field.name: getattr(self, field.name) for field in dataclasses.fields(self)}
        for name in ("read_out", "motion_view", "static_view", "bilevel"):
            config[name] = keras.saving.serialize_keras_object(config[name])
        return config

    @classmethod
    def from_config(cls, config: dict[str, Any]) -> Decoupling:
        import keras

        config = dict(config)
        for name in ("read_out", "motion_view", "static_view", "bilevel"):
            config[name] = keras.saving.deserialize_keras_object(config[name])
        return cls(**config)


_PAPER = {
    "threshold": 0.1,
    "ridge": 1e-6,
    "read_out": "mean",
    "projector_gradient": True,
    "heads": 1,
    "bilevel": {"scope": "all", "prediction": "in_sample"},
    "static_temperature": None,
    "dynamic_temperature": None,
    "dynamic_weight": 1.0,
    "standardize": False,
    "motion_view": None,
    "static_view": None,
    "static_mix": 0.0,
}
NAMED: dict[str, dict[str, Any]] = {
    "recommended": {},
    "paper": _PAPER,
    "reference-code": {**_PAPER, "reference_code": True},
}
