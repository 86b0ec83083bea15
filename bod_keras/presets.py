"""Named settings of the decoupling as a whole."""

from bod_keras.koopman import KoopmanSplit
from bod_keras.training import BiLevel

PRESETS = {
    # The defaults of the classes.
    "default": {"koopman": {}, "bilevel": {}, "framework": {}},
    "paper": {
        "koopman": {
            "threshold": 0.1,
            "method": "eig",
            "ridge": 1e-6,
            "dynamic": "mean",
            "projector_gradient": True,
        },
        "bilevel": {"scope": "all", "prediction": "in_sample"},
        "framework": {"base_weight": 0.0},
    },
}


def preset(name="default"):
    """Arguments of a framework that make it BOD-VCL in one of its named forms.

    * ``"default"``: the closest eigenvalue is static, the dynamic part is the operator itself, the projector is
      taken for a constant in gradients, the framework's ordinary loss is added, and the lower level moves the
      head by its cross-clip prediction. What it does and where it fails: docs/findings.md.
    * ``"paper"``: the published form, as far as its text and code settle it: threshold 0.1, hard split with
      its full gradient, (almost) no ridge, the time mean of the dynamic part, no ordinary loss, and a lower
      level on all weights with the in-sample prediction error.

    Args:
        name: ``"default"`` or ``"paper"``.

    Returns:
        A dict for ``VSimCLR(encoder, **preset(name))`` and all other frameworks: ``decoupling``, a new
        `KoopmanSplit`; ``bilevel``, a `BiLevel`; and loss weights that differ from the framework's.

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
        raise ValueError(f"preset must be one of {', '.join(PRESETS)}. Received: {name!r}")
    chosen = PRESETS[name]
    return {
        "decoupling": KoopmanSplit(**chosen["koopman"]),
        "bilevel": BiLevel(**chosen["bilevel"]),
        **chosen["framework"],
    }
