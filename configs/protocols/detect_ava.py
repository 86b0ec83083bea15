"""Action detection on AVA as SlowFast's self-supervised models are tested.

Command:     python evaluate.py --model=RUN --dataset=ava2.2-15min --root=VIDEOS --annotations=LISTS \
               --protocol=detect-ava --set=persons=ava_val_predicted_boxes.csv
Source:      Gu et al., "AVA", CVPR 2018, and its evaluation server's get_ava_performance.py;
             Feichtenhofer et al., "A Large-Scale Study on Unsupervised Spatiotemporal Representation
             Learning", arXiv 2104.14558; github.com/facebookresearch/SlowFast, configs/contrastive_ssl
Boxes:       train: the annotated persons; test: those of a person detector with a score of at least 0.9, or
             the annotated ones if `persons` is not set (then say so beside the number, for it is another task)
Head:        time mean of the last map, RoIAlign of 7 x 7 bins, maximum over the bins, dropout 0.5, sigmoid of
             80 classes, binary cross-entropy
Clips:       8 frames, every eighth, centered at the key frame, 224 x 224
Views:       1 clip of the whole frame, scaled to a square
Batch norm:  adapts in training, its moving statistics at test
Normalized:  nothing
Optimizer:   SGD, momentum 0.9, 0.075 for 16 clips (0.3 for 64), 5 epochs of warm-up, weight decay 1e-7, 32
             epochs
Chosen:      nothing
Reported:    frame-mAP@0.5 after the last epoch on val, over the 60 classes that the evaluation server counts,
             without the excluded seconds, of the 50 best detections of a frame
Differs:     their rate falls in steps at epochs 16, 24 and 28, ours as a cosine. Their last stage has no
             spatial stride (dilated by 2): its maps have twice as many cells to each side. They keep the shape
             of frames, 256 pixels high at test; ours are scaled to squares
Unverified:  their published numbers have not been repeated with it
"""

from bod_keras.configs.protocols.common import detection

# Ids, from 1, of the list for ActivityNet 2019: the classes with at least 25 examples in val.
_SIXTY = (
    *(1, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 17, 20, 22, 24, 26, 27, 28, 29, 30, 34, 36),
    *(37, 38, 41, 43, 45, 46, 47, 48, 49, 51, 52, 54, 56, 57, 58, 59, 60, 61, 62, 63, 64, 65, 66),
    *(67, 68, 69, 70, 72, 73, 74, 76, 77, 78, 79, 80),
)


def get_config():
    return detection(
        "detect-ava",
        1,
        frames=8,
        stride=8,
        size=224,
        multi_label=True,
        evaluated=tuple(number - 1 for number in _SIXTY),
        least_person_score=0.9,
        limit=50,
        epochs=32,
        optimizer="sgd",
        learning_rate=0.075,
        warmup_epochs=5.0,
        weight_decay=1e-7,
    )
