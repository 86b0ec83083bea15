"""What every experiment sets; the other configs start from it and change what they need.

Every key can be set on the command line, ``--config.clips.batch_size=32``. An unknown key is an error.
"""

from ml_collections import ConfigDict, config_dict


def get_config():
    config = ConfigDict()
    config.name = "run"  # the run's folder is <output>/<name>-seed<seed>
    config.output = "runs"
    config.seed = 0
    config.epochs = 100
    config.decoupled = True  # False: the plain framework
    config.precision = "float32"  # or mixed_bfloat16, mixed_float16

    # Where the videos are: "built-in", a folder, a folder per class, a list "path label", or a CSV file.
    config.data = ConfigDict(
        {"source": "", "root": config_dict.placeholder(str), "split": config_dict.placeholder(str)}
    )
    # Labelled videos for evaluate.py; as in data. Empty: the split names of the built-in data.
    config.probe = ConfigDict({"train": "", "test": "", "views": 1})
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
            "min_gap": 0,
            "cache_mb": 0,
            "workers": 2,
            "max_bad_share": 0.1,
        }
    )
    # The model: arguments of the encoder, the projection head, KoopmanSplit, BiLevel, the framework.
    config.encoder = ConfigDict({"name": "r3d18", "arguments": ConfigDict()})
    config.head = ConfigDict({"hidden": 512, "width": 128})
    config.koopman = ConfigDict(
        {
            "threshold": 0.1,
            "count": config_dict.placeholder(int),
            "method": "auto",
            "order": 64,
            "ridge": 1e-2,
            "operator": "clip",
            "dynamic": "operator",
            "basis": 12,
            "normalize": True,
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
    config.framework = ConfigDict(
        {
            "name": "vsimclr",
            "temperature": 0.1,
            "dynamic_temperature": config_dict.placeholder(float),
            "static_weight": 1.0,
            "dynamic_weight": 1.0,
            "base_weight": 0.0,
        }
    )
    # Learning rate: linear warm-up, then cosine to zero over the whole run.
    config.optimizer = ConfigDict(
        {
            "name": "adamw",
            "learning_rate": 1e-3,
            "warmup_epochs": 0.0,
            "weight_decay": 1e-4,
            "clipnorm": config_dict.placeholder(float),
            "accumulate": 1,  # steps whose gradients make one update; the lower level takes every step
        }
    )
    config.checkpoint = ConfigDict({"every": 1, "keep": 2})  # in epochs
    return config
