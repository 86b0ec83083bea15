"""What every protocol sets, and what those of one kind share; not a protocol itself."""

from ml_collections import ConfigDict, config_dict


def protocol(name, version, kind, **choices):
    """A protocol's config: what every kind has, then `choices`, which may replace it."""
    return ConfigDict(
        {
            "name": name,
            # Grows when a choice changes, so that two numbers of one name and version are comparable.
            "version": version,
            "kind": kind,  # one of bod_keras.evaluation.protocols.KINDS
            # What is tested of a video: clips, evenly spaced, and 1 (the centre) or 3 crops of each.
            "views": 1,
            "crops": 1,
            # Of the clips; None: as the model was pre-trained.
            "frames": config_dict.placeholder(int),
            "stride": config_dict.placeholder(int),
            "size": config_dict.placeholder(int),
            # Low-shot: labelled videos a class, or the share of them, that may be learned from; None: all.
            "per_class": config_dict.placeholder(int),
            "share": config_dict.placeholder(float),
            **choices,
        }
    )


def on_features(name, version, kind, **choices):
    """A protocol on frozen features that are extracted once: "linear", "knn", "retrieval" and "factors"."""
    settings = {
        "views": 1,
        "crops": 1,
        "parts": (),  # of the read-out; none: all that the model has
        "read_out": "parts",  # or "pooled", "projected" (bod_keras.evaluation.ReadOut)
        "time_steps": 1,  # that "pooled" keeps
    }
    return protocol(name, version, kind, **{**settings, **choices})
