"""What every experiment sets; the other configs start from it and change what they need.

Every key can be set on the command line, ``--config.clips.batch_size=32``. An unknown key is an error.
"""

from ml_collections import ConfigDict, config_dict

from bod_keras.presets import PRESETS

FRAMEWORKS = ("vsimclr", "vmoco", "vbyol", "vswav", "vsimsiam", "vvicreg", "vbarlow_twins")


def framework(name):
    """``config.framework`` of one of `FRAMEWORKS`: the arguments of its class, with their defaults."""
    usual = PRESETS["default"]
    parts = {"static_weight": 1.0, "dynamic_weight": 1.0, **usual["framework"]}
    contrast = {"temperature": 0.1, "dynamic_temperature": config_dict.placeholder(float)}
    negatives = {**contrast, **usual["with_negatives"]}
    arguments = {
        "vsimclr": negatives,
        "vmoco": {
            **negatives,
            "queue_size": 65536,
            "wait_for_queue": False,
            "momentum": 0.994,
            "anneal_momentum": True,  # to 1, over the whole run
        },
        "vbyol": {"predictor_hidden": 256, "momentum": 0.996, "anneal_momentum": True},
        "vswav": {
            **contrast,
            "prototypes": 1000,
            "freeze_epochs": 1.0,  # in which the prototypes stay as they are
            "queue_size": 0,
            "queue_epochs": 15.0,  # before the queue is used
            "epsilon": 0.05,
            "iterations": 3,
        },
        "vsimsiam": {"predictor_hidden": 64},
        "vvicreg": {
            "invariance": 25.0,
            "variance": 25.0,
            "covariance": 1.0,
            "expander_hidden": 256,
            "expander_width": 256,
        },
        "vbarlow_twins": {"off_diagonal": 5e-3},
    }
    return ConfigDict({"name": name, **parts, **arguments[name]})


def set_kind(config, kind):
    """Make a config plain, decoupled ("bod") or decoupled in the published form ("paper")."""
    config.decoupled = kind != "plain"
    if kind == "paper":
        published = PRESETS["paper"]
        config.koopman.update(published["koopman"])
        config.bilevel.update(published["bilevel"])
        config.framework.update(published["framework"])
        config.background_swap, config.frame_shuffle, config.repeat_edges = 0.0, False, False


def get_config():
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
            "mix": (),  # more sources, to train on a mixture
            "dataset": "",
            "annotations": config_dict.placeholder(str),  # folder of the official files; None: root
            "fold": 1,
            # As `python -m bod_keras.data verify` writes it.
            "blocklist": config_dict.placeholder(str),
        }
    )
    # Labelled videos for evaluate.py; as in data.source. Empty: the splits of the data set or built-in data.
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
            "min_gap": 0,
            "gap_law": "uniform",  # or decreasing
            "class_balanced": False,
            "weights": (),  # one for data.source and one for each of data.mix
            "shard": (0, 1),  # this host and how many there are
            "cache_mb": 0,
            "workers": 2,  # processes
            "timeout": 120.0,
            "service": "",  # in their place `python -m bod_keras.data serve` on other machines (docs/input.md)
            "max_bad_share": 0.1,
        }
    )
    # The model: arguments of the encoder, the projection head, KoopmanSplit, BiLevel, the framework.
    config.encoder = ConfigDict(
        {
            "name": "r3d18",
            "arguments": ConfigDict(),
            # A PyTorch file (.safetensors, .pth) of the same network to start from (docs/weights.md).
            "weights": config_dict.placeholder(str),
        }
    )
    # The width is that of each part, so with koopman.halves the head has twice as many outputs.
    config.head = ConfigDict({"hidden": 512, "width": 128, "depth": 2})
    config.koopman = ConfigDict(
        {
            # Which eigenvalues are static: those within the threshold, or so many; neither: the closest.
            "threshold": config_dict.placeholder(float),
            "count": config_dict.placeholder(int),
            "method": "auto",
            "order": 64,
            "ridge": 0.1,
            "operator": "clip",
            "dynamic": "operator",
            "basis": config_dict.placeholder(int),  # None: 24, or the head's width if that is less
            "normalize": True,
            "projector_gradient": False,
            "halves": True,
        }
    )
    config.bilevel = ConfigDict(
        {
            "inner_steps": 1,
            "inner_learning_rate": 1.0,
            "scope": "head",
            "hypergradient": "finite_difference",
            "prediction": "cross_clip",
            "inner_momentum": 0.0,
        }
    )
    config.framework = framework("vsimclr")
    # Threshold of the view in which the dynamic part meets another video's background, one clip more for
    # each video; 0: none.
    config.background_swap = 0.08
    # Whether the static part meets clips with their frames shuffled: for encoders with temporal kernels, whose
    # features, of the static part too, know the motion. It costs nothing beside a background swap.
    config.frame_shuffle = True
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
    # What training.Monitors measures every so many epochs (0: never), on this many videos of the first batch.
    config.monitors = ConfigDict({"every": 1, "videos": 64})
    config.checkpoint = ConfigDict({"every": 1, "keep": 2})  # in epochs
    return config
