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


def detection(name, version, **choices):
    """A protocol "detect": a detector of the encoder, fine-tuned on annotated boxes, tested on given ones."""
    settings = {
        "multi_label": False,  # whether a person does several things at once
        "evaluated": (),  # classes, as labels from 0; none: all
        # Boxes of persons to test on: a .csv or .pkl file of a person detector; None: the annotated ones.
        "persons": config_dict.placeholder(str),
        "least_person_score": 0.0,  # that such a box needs
        # Every so many-th annotated frame of a video.
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
        # Of training clips: the part of the frame that is shown, flip and colours as of ClipAugment.
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
