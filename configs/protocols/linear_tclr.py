"""Linear probe as TCLR's code has it on UCF101.

Command:     python evaluate.py --model=RUN --dataset=ucf101 --root=VIDEOS --annotations=LISTS --split=1 \
               --protocol=linear-tclr
Source:      Dave et al., arXiv 2101.07974; github.com/DAVEISHAN/TCLR, linear_eval/
Trains:      a linear classifier on clips that are augmented anew every epoch; the backbone's weights are
             fixed
Batch norm:  adapts: the published network is in training mode
Clips:       16 frames, every second, 112 x 112; a square of 0.6 to 1 of the height, flip, mild color, some
             gray
Views:       10 clips, evenly spaced, center crop; probabilities are averaged
Normalized:  not; no dropout
Optimizer:   Adam 1e-2, batches of 32, no weight decay; up to 50 epochs
Chosen:      the epoch, ON TEST: epochs 6 and 11 to 49 are tested and the best is reported. For a number
             that was not chosen on test: --protocol=linear, or --set=checkpoint=validation
Reported:    the best epoch, on test
Differs:     they divide the rate by 10 when the training loss has risen 3 times, here it stays; every epoch
             is tried, with one centered clip a video, and the best one tested with ten; they erase a small
             square at times, and crop 0.8 of the height at test
Unverified:  their frames are RGB here; their code reads BGR
"""

from bod_keras.configs.protocols.common import finetuning


def get_config():
    return finetuning(
        "linear-tclr",
        1,
        views=10,
        crops=1,
        frames=16,
        stride=2,
        size=112,
        train="head",
        batch_norm="adapt",
        recipe="tclr_probe",
        epochs=50,
        batch_size=32,
        optimizer="adam",
        learning_rate=1e-2,
        schedule="step",
        checkpoint="test",
    )
