"""Ours: action detection on UCF101-24, from given person boxes.

Command:     python evaluate.py --model=RUN --dataset=ucf101-24 --root=VIDEOS --annotations=LISTS \
               --protocol=detect-ucf101-24 [--set=persons=BOXES.csv]
Boxes:       train: the annotated ones, of every eighth annotated frame; test: those of every frame, or of a
             person detector. Numbers on annotated boxes cannot be compared with those of detectors that find
             persons themselves
Head:        time mean of the last map, RoIAlign of 7 x 7 bins, maximum over the bins, dropout 0.5, softmax of
             24 classes
Clips:       8 frames, every second, centered at the key frame, 224 x 224
Views:       1 clip of the whole frame, scaled to a square
Batch norm:  adapts in training, its moving statistics at test
Optimizer:   AdamW, 1e-4, 1 epoch of warm-up, then a cosine to 0, weight decay 1e-4, 10 epochs
Chosen:      nothing
Reported:    frame-mAP@0.5; video-mAP@0.2, 0.5, 0.75 and 0.5:0.95 of tubes that are linked greedily by overlap;
             after the last epoch, on the test videos of split 1 with the corrected annotations
Unverified:  nothing: it follows no publication. The metrics are those of Weinzaepfel et al., "Learning to
             Track for Spatio-temporal Action Localization", ICCV 2015
"""

from bod_keras.configs.protocols.common import detection


def get_config():
    return detection(
        "detect-ucf101-24",
        1,
        frames=8,
        stride=2,
        size=224,
        every_train=8,
        tubes=True,
        epochs=10,
        learning_rate=1e-4,
    )
