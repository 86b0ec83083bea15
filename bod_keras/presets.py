"""Named settings of the decoupling as a whole."""

from bod_keras.errors import UserError
from bod_keras.koopman import KoopmanSplit
from bod_keras.training import BiLevel
from bod_keras.views.background_swap import BackgroundSwap

# Frameworks whose loss compares with other videos.
_WITH_NEGATIVES = ("vsimclr", "vmoco")
PRESETS = {
    "default": {
        "koopman": {"ridge": 0.1, "halves": True},
        "bilevel": {},
        "framework": {"base_weight": 0.0, "standardize": True},
        "with_negatives": {"dynamic_weight": 0.5},
        "background_swap": 0.08,
    },
    "paper": {
        "koopman": {
            "threshold": 0.1,
            "method": "eig",
            "ridge": 1e-6,
            "dynamic": "mean",
            "halves": False,
            "projector_gradient": True,
        },
        "bilevel": {"scope": "all", "prediction": "in_sample"},
        "framework": {"dynamic_weight": 1.0, "base_weight": 0.0, "standardize": False},
        "with_negatives": {},
        "background_swap": 0.0,
    },
}


def preset(name="default", framework="VSimCLR"):
    """Arguments of a framework that make it BOD-VCL in one of its named forms.

    * ``"default"``: what learned both semantics in docs/findings.md. The closest eigenvalue is static, the
      dynamic part is the operator itself, fitted with a ridge of 0.1, each part has its half of the embedding,
      the static one is standardised, the dynamic one is contrasted with a view over another background, and
      the lower level moves the head by its cross-clip prediction. Its projection head has twice the width of
      a plain one. In frameworks with negatives the dynamic loss has half weight.
    * ``"paper"``: the published form, as far as its text and code settle it: threshold 0.1, hard split with
      its full gradient, (almost) no ridge, the time mean of the dynamic part, no ordinary loss, and a lower
      level on all weights with the in-sample prediction error.

    Args:
        name: ``"default"`` or ``"paper"``.
        framework: the class that it is for, by its name, ``"VMoCo"``.

    Returns:
        A dict for ``VSimCLR(encoder, **preset(name))``: ``decoupling``, a new `KoopmanSplit`; ``bilevel``, a
        `BiLevel`; ``motion_view``, weights of losses and ``standardize``.

    Raises:
        ValueError: another name.

    Example:
        >>> import bod_keras
        >>> encoder = bod_keras.encoders.FrameCNN(input_shape=(4, 16, 16, 3), widths=(4, 8))
        >>> model = bod_keras.VSimCLR(encoder, **bod_keras.preset("paper"))
        >>> model.decoupling.dynamic, model.base_weight
        ('mean', 0.0)

    Reference:
        Song et al., arXiv 2407.14069.
    """
    if name not in PRESETS:
        raise UserError(f"preset must be one of {', '.join(PRESETS)}. Received: {name!r}")
    chosen = PRESETS[name]
    swap = chosen["background_swap"]
    return {
        "decoupling": KoopmanSplit(**chosen["koopman"]),
        "bilevel": BiLevel(**chosen["bilevel"]),
        **chosen["framework"],
        **(chosen["with_negatives"] if framework.lower() in _WITH_NEGATIVES else {}),
        "motion_view": BackgroundSwap(swap) if swap else None,
    }
