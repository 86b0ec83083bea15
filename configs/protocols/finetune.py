"""Ours: the whole network is trained with labels, every choice made on a part of the training videos.

Command:     python evaluate.py --model=RUN --protocol=finetune
Trains:      encoder, time mean, dropout 0.5 and a linear classifier, at one learning rate
Batch norm:  trains
Clips:       as in pre-training; crop of 0.25 to 1 of the area, and flips where they do not change the label
Views:       10 clips, evenly spaced, of 3 crops; probabilities are averaged
Normalized:  not
Optimizer:   SGD 0.01 for 32 clips, momentum 0.9, weight decay 1e-4; 100 epochs, cosine, warm-up of 5
Chosen:      the epoch, on a tenth of each class of train, which is left out of training, with one centered
             clip a video; of equal epochs the first
Reported:    that epoch, on test, once
Unverified:  that the rate suits every encoder: choose another with --set=learning_rate, on the validation
             part
"""

from bod_keras.configs.protocols.common import finetuning


def get_config():
    return finetuning(
        "finetune",
        1,
        dropout=0.5,
        recipe="crop",
        learning_rate=0.01,
        weight_decay=1e-4,
        warmup_epochs=5.0,
        checkpoint="validation",
    )
