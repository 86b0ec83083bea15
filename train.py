"""Pre-train a video encoder: `bod-keras train` (bod_keras/commands/console/train.py). See --help.

In a program: ``import train; train.train(config)``, with a config of configs/ as a dict.
"""

import os
import sys

if __name__ == "__main__":
    os.environ["BOD_KERAS_READER"] = "1"  # the command says itself whether it needs Keras
    from bod_keras.commands.console.main import main

    main(["train", *sys.argv[1:]], "train.py")
else:
    from bod_keras.commands.console.train import train  # noqa: F401
