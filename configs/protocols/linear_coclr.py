"""Linear probe as CoCLR reports it on UCF101 and HMDB51.

Command:     python evaluate.py --model=RUN --dataset=ucf101 --root=VIDEOS --annotations=LISTS --split=1 \
               --protocol=linear-coclr
Source:      Han et al., arXiv 2010.09709; github.com/TengdaHan/CoCLR, eval/main_classifier.py,
             train_what=last; the settings of the optimizer as ViCC (Toering et al., arXiv 2106.10137),
             which took the code over, gives them
Trains:      L2 normalization, batch normalization and a linear classifier on clips that are augmented anew
             every epoch
Batch norm:  the backbone's is frozen; that before the classifier learns
Clips:       32 frames, every one, 128 x 128; crop of 0.2 to 1 of the area, flip, mild color jitter with
             probability 0.3
Views:       theirs: overlapping windows of 10 crops (corners and center, flipped, too); here 10 clips of 3
             crops
Normalized:  L2, then batch normalization; no dropout
Optimizer:   SGD 0.1, momentum 0.9, weight decay 1e-3; 100 epochs, a tenth after 60 and 80; 32 clips a GPU,
             4 GPUs
Chosen:      the epoch, ON TEST: their validation set is a part of the test list (0.3 of it); here all of
             it. The rate and the decay were tuned for each data set. For a number that was not chosen on
             test: --protocol=linear, or --set=checkpoint=validation
Reported:    the best epoch, on test
Differs:     the views; the epoch is chosen on all of test, with one centered clip a video
Unverified:  the number of GPUs; a second script of theirs trains on saved features (rate 1.0, batches of
             1024)
"""

from bod_keras.configs.protocols.common import finetuning


def get_config():
    return finetuning(
        "linear-coclr",
        1,
        frames=32,
        stride=1,
        size=128,
        train="head",
        batch_norm="frozen",
        normalize="l2+batch_norm",
        recipe="coclr_probe",
        epochs=100,
        batch_size=128,
        learning_rate=0.1,
        weight_decay=1e-3,
        schedule="step",
        steps=(60, 80),
        checkpoint="test",
    )
