"""Ours: action detection on built-in videos of discs, which a small encoder learns on a CPU in minutes.

Command:     python evaluate.py --model=RUN --protocol=detect-moving-discs
Videos:      160 to learn from, 64 to test on, written once into the run's `built_in.folder`: two discs each
             that move to the right, down, to the left or up, which is the class. A single frame does not tell
             it, and an encoder of single frames cannot
Boxes:       the annotated ones: of every second frame to learn from, of every frame to test on
Head:        time mean of the last map, RoIAlign of 7 x 7 bins, maximum over the bins, no dropout, softmax of
             4 classes
Clips:       of the length and size that the model was made for, every frame; no flips, which would change the
             class
Views:       1 clip of the whole frame, scaled to a square
Batch norm:  adapts in training, its moving statistics at test
Optimizer:   AdamW, 3e-3, 1 epoch of warm-up, then a cosine to 0, weight decay 1e-4, 5 epochs
Chosen:      nothing
Reported:    frame-mAP@0.5 and video-mAP after the last epoch, on the test videos
Unverified:  nothing: it follows no publication
"""

from bod_keras.configs.protocols.common import detection


def get_config():
    return detection(
        "detect-moving-discs",
        1,
        stride=1,
        every_train=2,
        tubes=True,
        dropout=0.0,
        jitter_probability=0.8,
        epochs=5,
        learning_rate=3e-3,
        built_in="moving-discs",
    )
