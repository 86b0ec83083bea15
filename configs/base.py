"""What every experiment sets; the other configs start from it and change what they need.

Every key can be set on the command line, ``--config.clips.batch_size=32``. An unknown key is an error.
"""

import dataclasses

from ml_collections import ConfigDict, config_dict

from bod_keras.decoupling import HIDDEN, NAMED, WIDTH, Decoupling

_TYPES = {"threshold": float}


def framework(name):
    """``config.framework``: a framework's name and the arguments of its class, with the class' defaults.

    What the class counts in steps a config counts in epochs, as its ``in_epochs`` says.
    """
    # Not at the top: `--help` needs no Keras.
    from bod_keras.experiment import framework_settings

    return ConfigDict({"name": name, **framework_settings(name)})


def only_framework(arguments, file):
    """``config.framework`` of a config that takes nothing but the name of one; v-SimCLR without any.

    Raises:
        UserError: there is no such framework; it names the file of the config.
    """
    from bod_keras.errors import UserError
    from bod_keras.frameworks import FRAMEWORKS

    if arguments and arguments not in FRAMEWORKS:
        names = ", ".join(name for name, _ in FRAMEWORKS.items())
        raise UserError(f"{file} takes one of {names}. Received: {arguments!r}")
    return framework(arguments or "vsimclr")


def decoupling(name="recommended"):
    """``config.decoupling``: the fields of a named `Decoupling`."""
    fields = dataclasses.asdict(Decoupling.named(name))
    for key, value in fields.items():
        if value is None:
            fields[key] = config_dict.placeholder(_TYPES.get(key, str))
    return ConfigDict(fields)


def set_kind(config, kind):
    """Make a config plain, decoupled ("bod"), or decoupled in another form, a name of `NAMED`."""
    config.decoupled = kind != "plain"
    if kind in NAMED:
        config.decoupling = decoupling(kind)
        config.repeat_edges = False


def get_config():
    config = shared()
    config.framework = framework("vsimclr")
    return config


def shared():
    """All but ``config.framework``, which depends on the framework."""
    config = ConfigDict()
    config.name = "run"  # the run's folder is <output>/<name>-seed<seed>
    config.output = "runs"
    config.seed = 0
    config.epochs = 100
    config.decoupled = True  # False: the plain framework
    config.precision = "float32"  # or mixed_bfloat16, mixed_float16

    # Where the videos are: "built-in", a folder, a folder per class, a list "path label", or a CSV file.
    # Or `dataset`, a key of bod_keras.data.DATASETS, with its videos in `root` (docs/data.md).
    config.data = ConfigDict(
        {
            "source": "",
            "root": config_dict.placeholder(str),
            "split": config_dict.placeholder(str),
            # Of files of frame features (N, T, C), .npy or .npz, a folder or a list of them: C. 0: videos.
            "channels": 0,
            "dataset": "",
            "annotations": config_dict.placeholder(str),  # folder of the official files; None: root
            "fold": 1,
            # As `python -m bod_keras.data verify` writes it.
            "blocklist": config_dict.placeholder(str),
        }
    )
    # Labeled videos for evaluate.py; as in data.source. Empty: the splits of the data set or built-in data.
    config.probe = ConfigDict({"train": "", "test": "", "views": 1, "crops": 1})
    # The built-in data set, written once into `folder`.
    config.built_in = ConfigDict(
        {
            "folder": "data/built-in",
            "rho": 0.95,
            "train": 1024,
            "probe_train": 560,
            "probe_test": 560,
            "size": 32,
            "frames": 24,
            "scene": "photos",  # or noise: digit and direction are seen in motion alone
        }
    )
    # How clips are sampled: the arguments of bod_keras.data.ClipDataset.
    config.clips = ConfigDict(
        {
            "frames": 16,
            "stride": 1,
            "views": 2,
            "size": 112,
            "batch_size": 16,
            "recipe": "cvrl",
            # Probability; None: the recipe's, and none where the data set's labels are directions.
            "flip": config_dict.placeholder(float),
            "augment": "cpu",  # or device: by a layer of the model
            "device_size": config_dict.placeholder(int),
            "shard": (0, 1),  # this host and how many there are
            "cache_mb": 0,
            "workers": 2,  # processes
            "timeout": 120.0,
            "service": "",  # or other machines that run `python -m bod_keras.data serve` (docs/input.md)
            "max_bad_share": 0.1,
        }
    )
    # The model: the encoder and its arguments, and the projection head.
    config.encoder = ConfigDict(
        {
            "name": "r3d18",
            "arguments": ConfigDict(),
            # To start from: a run, hf://owner/name, or a PyTorch file (.safetensors, .pth) of its network
            # (docs/weights.md).
            "weights": config_dict.placeholder(str),
        }
    )
    # Of an encoder without weights to train (encoder.arguments.frozen): features of this many augmented copies
    # of each video are computed once, kept in `folder`, and trained on in turn (docs/frozen.md). 0: none.
    config.feature_cache = ConfigDict({"copies": 0, "folder": "data/features", "gigabytes": 20.0})
    config.head = ConfigDict({"hidden": HIDDEN, "width": WIDTH, "depth": 2})
    # What makes it BOD-VCL: the fields of bod_keras.Decoupling. A view of "" is none, and so is a lower level
    # of bilevel.inner_steps 0.
    config.decoupling = decoupling()
    # Whether convolutions over time, if there are any, see the first and the last frame repeated beyond a clip,
    # and not zeros.
    config.repeat_edges = True
    # Learning rate: linear warm-up, then cosine over the rest of the run. Only learning_rate is scaled.
    config.optimizer = ConfigDict(
        {
            "name": "adamw",  # or sgd, lars
            "learning_rate": 1e-3,  # the peak
            # The batch size that learning_rate was published for: the peak becomes
            # learning_rate * batch_size * accumulate / reference_batch. None: no scaling.
            "reference_batch": config_dict.placeholder(int),
            "warmup_epochs": 0.0,
            "warmup_learning_rate": 0.0,  # where the warm-up starts
            "final_learning_rate": 0.0,  # where the cosine ends
            "momentum": 0.9,  # of sgd and lars
            # Of adamw and sgd decoupled: a step takes learning_rate * weight_decay off a weight. In lars, and
            # in published SGD recipes, it is in the gradient, and momentum makes it 1 / (1 - momentum) times
            # as strong: their 1e-4 with momentum 0.9 is 1e-3 for sgd here.
            "weight_decay": 1e-4,
            "clipnorm": config_dict.placeholder(float),
            "accumulate": 1,  # steps whose gradients make one update; the lower level takes every step
            # Pieces in which the encoder sees a batch: memory of one, negatives and gradient of all
            # (docs/scaling.md).
            "chunks": 1,
        }
    )
    # What training.Monitors measures: every how many epochs (0: never), on how many videos of the first batch.
    config.monitors = ConfigDict({"every": 1, "videos": 64})
    # Probes of frozen features in the course of the run, on videos of `probe` or, without it, of the training
    # list (docs/runs.md).
    config.evaluate = ConfigDict(
        {
            "every": 1,  # epochs; 0: never
            "most": 0.05,  # share of the time that they may take: epochs are left out for it
            "videos": 256,  # to learn from, and as many to test on
            # A column of history.csv, such as linear_static or val_loss: best.keras is of the epoch with the
            # highest value (the lowest of a loss).
            "best": "",
            "patience": 0,  # measurements without a better one after which the run ends; 0: never
        }
    )
    config.checkpoint = ConfigDict({"every": 1, "keep": 2})  # in epochs
    config.tracker = ""  # wandb, mlflow, trackio, or your module:Class (docs/trackers.md)
    # Keras callbacks of your own, each "module:Class" and made without arguments (docs/runs.md).
    config.callbacks = ()
    return config
