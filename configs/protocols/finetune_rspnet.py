"""Fine-tuning as RSPNet reports it on UCF101 and HMDB51.

Command:     python evaluate.py --model=RUN --dataset=ucf101 --root=VIDEOS --annotations=LISTS --split=1 \
               --protocol=finetune-rspnet
Source:      Chen et al., arXiv 2011.07949; github.com/PeihaoChen/RSPNet, finetune.py, config/finetune/
Trains:      encoder, time mean and a linear classifier, at one learning rate
Batch norm:  trains
Clips:       16 frames, every one, 112 x 112; crop of 0.25 to 1 of the area, and flips; no color
Views:       10 clips, evenly spaced, center crop; probabilities are averaged
Normalized:  not; no dropout
Optimizer:   SGD 0.1 for 32 clips, momentum 0.9, weight decay 1e-4; 30 epochs, cosine
Chosen:      the epoch, ON TEST: each is tested with one clip a video and the best is then tested with ten.
             For a number that was not chosen on test: --protocol=finetune, or --set=checkpoint=validation
Reported:    the best epoch, on test
Differs:     their rate ends at a thousandth of the peak, here at 0; they resample UCF101 to 25 frames a
             second, which it has; they average logits, here probabilities
Unverified:  HMDB51 takes 70 epochs, which only an option of theirs says: --set=epochs=70
"""

from bod_keras.configs.protocols.common import finetuning


def get_config():
    return finetuning(
        "finetune-rspnet",
        1,
        views=10,
        crops=1,
        frames=16,
        stride=1,
        size=112,
        recipe="crop",
        epochs=30,
        batch_size=32,
        learning_rate=0.1,
        weight_decay=1e-4,
        checkpoint="test",
    )
