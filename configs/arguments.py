"""The words after the colon of ``--config=configs/NAME.py:bod,smoke``."""

from collections import namedtuple

from bod_keras.errors import UserError

Arguments = namedtuple("Arguments", "kind framework views smoke noise")
KINDS = ["plain", "bod", "paper", "reference-code"]


def read_arguments(config, text, frameworks=(), views=(), noise=False):
    """What the words say.

    Args:
        config: name of the config, for the error.
        text: words with commas between: one of `KINDS`; ``smoke``; one of `frameworks`;
            ``rho`` and one of `views`, as in ``rho4``.
        frameworks, views: what this config can choose from.
        noise: whether it has videos of noise.

    Returns:
        An `Arguments`; framework and views are None where none was chosen.

    Raises:
        ValueError: another word, two of a kind, or none of the first.
    """
    words = text.split(",")
    groups = {
        "kind": KINDS,
        "framework": list(frameworks),
        "views": [f"rho{count}" for count in views],
        "smoke": ["smoke"],
        "noise": ["noise"] if noise else [],
    }
    chosen = {name: [w for w in words if w in group] for name, group in groups.items()}
    understood = sum(len(found) for found in chosen.values())
    if understood != len(words) or not chosen["kind"] or any(len(f) > 1 for f in chosen.values()):
        optional = [", ".join(g) for name, g in groups.items() if g and name != "kind"]
        raise UserError(
            f"configs/{config}.py takes {', '.join(KINDS[:-1])} or {KINDS[-1]}, then optionally one of each: "
            f"{'; '.join(optional)}. Received: {text!r}"
        )
    kind, framework, count, smoke, noise = (next(iter(chosen[name]), None) for name in groups)
    return Arguments(kind, framework, int(count[3:]) if count else None, bool(smoke), bool(noise))
