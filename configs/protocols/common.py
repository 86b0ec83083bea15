"""What every protocol sets, and what those of one kind share; not a protocol itself."""

from ml_collections import ConfigDict, config_dict

from bod_keras.errors import UserError


def protocol(name, version, kind, **choices):
    """A protocol's config: what every kind has, then `choices`, which may replace it."""
    return ConfigDict(
        {
            "name": name,
            # Grows when a choice changes, so that two numbers of one name and version are comparable.
            "version": version,
            "kind": kind,  # one of bod_keras.evaluation.protocols.KINDS
            # What is tested of a video: clips, evenly spaced, and 1 (the center) or 3 crops of each.
            "views": 1,
            "crops": 1,
            # Of the clips; None: as the model was pre-trained.
            "frames": config_dict.placeholder(int),
            "stride": config_dict.placeholder(int),
            "size": config_dict.placeholder(int),
            # Low-shot: labeled videos a class, or the share of them, that may be learned from; None: all.
            "per_class": config_dict.placeholder(int),
            "share": config_dict.placeholder(float),
            **choices,
        }
    )


def on_features(name, version, kind, **choices):
    """A protocol on frozen features that are extracted once, such as "linear" and "retrieval"."""
    settings = {
        "views": 1,
        "crops": 1,
        "parts": (),  # of the read-out; none: all that the model has
        "read_out": "parts",  # or "pooled", "projected" (bod_keras.evaluation.ReadOut)
        "time_steps": 1,  # that "pooled" keeps
    }
    return protocol(name, version, kind, **{**settings, **choices})


def finetuning(name, version, **choices):
    """A protocol of the kind "finetune": the encoder, a mean over time, dropout and a linear classifier."""
    settings = {
        "views": 10,
        "crops": 3,
        "label": config_dict.placeholder(str),  # the column; None: "label", or the first factor
        "train": "all",  # or "head": the classifier on an encoder whose weights stay
        # "train": as usual; "adapt": its statistics follow the labeled clips, its weights stay; "frozen".
        "batch_norm": "train",
        "normalize": "none",  # of the features before the classifier: or "l2", "l2+batch_norm"
        "dropout": 0.0,
        "recipe": "crop",  # of bod_keras.data.RECIPES
        # Probability; None: the recipe's, 0 for data sets whose labels a flip would change.
        "flip": config_dict.placeholder(float),
        "epochs": 100,
        "batch_size": 32,
        "optimizer": "sgd",  # or "adam", "adamw"
        "momentum": 0.9,  # of sgd
        "learning_rate": 0.01,  # the peak
        # L2, in the gradient, of all weights but biases and batch-norm's; adamw's is decoupled.
        "weight_decay": 0.0,
        "schedule": "cosine",  # to 0; or "step"
        "steps": (),  # of "step": epochs after which the rate is multiplied by `factor`
        "factor": 0.1,
        "warmup_epochs": 0.0,  # linear, from 0
        # Which epoch is tested: "validation": the best on a part of train, with one centered clip a video;
        # "last"; "test": as "validation" but on test, only to reproduce what was published so.
        "checkpoint": "validation",
        "validation_share": 0.1,  # of each class
    }
    unknown = choices.keys() - settings.keys() - {"frames", "stride", "size"}
    if unknown:
        raise UserError(f"A protocol of the kind 'finetune' has no {', '.join(sorted(unknown))}.")
    return protocol(name, version, "finetune", **{**settings, **choices})


def attentive(name, version, **choices):
    """A protocol of the kind "attentive": probes that attend to the tokens of a frozen model."""
    settings = {
        "segments": 2,  # clips of a video whose tokens are laid side by side
        "crops": 3,  # of each in the test: 1 or 3
        "label": config_dict.placeholder(str),  # the column; None: each for itself
        "blocks": 4,  # the last one is the query's; 0: attention pooling alone
        "heads": 16,  # or the largest smaller number that divides the width
        "most_width": 256,  # wider tokens pass a linear map first; 0: none does
        # A probe for every pair of the two, all trained at once.
        "rates": (5e-3, 3e-3, 1e-3, 3e-4, 1e-4),
        "decays": (0.01, 0.1, 0.4, 0.8),
        "recipe": "crop",  # of bod_keras.data.RECIPES
        # Probability; None: the recipe's, 0 for data sets whose labels a flip would change.
        "flip": config_dict.placeholder(float),
        "epochs": 20,
        "batch_size": 16,
        # Where the best probe is chosen: "validation", a part of train; or "test", as it is published.
        "checkpoint": "validation",
        "validation_share": 0.1,  # of each class
    }
    return protocol(name, version, "attentive", **{**settings, **choices})


def detection(name, version, **choices):
    """A protocol "detect": a detector of the encoder, fine-tuned on annotated boxes, tested on given ones."""
    settings = {
        "multi_label": False,  # whether a person does several things at once
        "evaluated": (),  # classes, as labels from 0; none: all
        # Boxes of persons to test on: a .csv or .pkl file of a person detector; None: the annotated ones.
        "persons": config_dict.placeholder(str),
        "least_person_score": 0.0,  # that such a box needs
        # Every n-th annotated frame of a video.
        "every_train": 1,
        "every_test": 1,
        "limit": config_dict.placeholder(
            int
        ),  # detections of a frame that count, the best; None: all
        "tubes": False,  # whether boxes are linked, for video-mAP
        # The head: bins of a box, and what is pooled how.
        "bins": 7,
        "time_pool": "mean",
        "bin_pool": "max",
        "dropout": 0.5,
        # Of training clips: the part of the frame that is shown, flip and colors as of ClipAugment.
        "crop_area": (0.5, 1.0),
        "crop_aspect": (0.75, 1.333),
        "flip": 0.5,
        "jitter": (0.2, 0.2, 0.2, 0.05),
        "jitter_probability": 0.0,
        "batch_size": 16,
        "epochs": 20,
        "optimizer": "adamw",  # or sgd
        "learning_rate": 1e-3,
        "warmup_epochs": 1.0,
        "weight_decay": 1e-4,
        "built_in": "",  # "moving-discs": videos that come with the package
    }
    return protocol(name, version, "detect", **{**settings, **choices})
