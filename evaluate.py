"""Evaluate trained encoders: `bod-keras evaluate` (bod_keras/commands/console/evaluate.py). See --help."""

import os
import sys

if __name__ == "__main__":
    os.environ["BOD_KERAS_READER"] = "1"  # the command says itself whether it needs Keras
    from bod_keras.commands.console.main import main

    main(["evaluate", *sys.argv[1:]], "evaluate.py")
