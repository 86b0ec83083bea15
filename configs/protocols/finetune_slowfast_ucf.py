"""Fine-tuning as the rho-MoCo/BYOL/SimCLR/SwAV study has it on UCF101 (and HMDB51).

Command:     python evaluate.py --model=RUN --dataset=ucf101 --root=VIDEOS --annotations=LISTS --split=1,2,3 \
               --protocol=finetune-slowfast-ucf
Source:      Feichtenhofer et al., arXiv 2104.14558; github.com/facebookresearch/SlowFast,
             configs/contrastive_ssl/finetune_ucf_Slow_R50_syn0.yaml
Trains:      encoder, time mean, dropout 0.5 and a linear classifier, at one learning rate
Batch norm:  trains, 8 clips a GPU; their other file (syn8) synchronizes it, with a rate of 0.01, no weight
             decay and dropout 0.8: --set=learning_rate=0.01 --set=weight_decay=0.0 --set=dropout=0.8
Clips:       8 frames, every eighth, 224 x 224; a square of 224 out of a short side of 256 to 320, flip,
             color jitter 0.4, 0.4, 0.4, 0.1 with probability 0.8, gray 0.2
Views:       10 clips, evenly spaced, of 3 crops; probabilities are averaged
Normalized:  not
Optimizer:   SGD 0.005 for 64 clips, momentum 0.9, weight decay 1e-4, not of batch norm; 200 epochs, cosine,
             no warm-up
Chosen:      nothing
Reported:    the last epoch, on test
Differs:     batch normalization sees the whole batch of 64; their test crops have 256 pixels, here the
             network's 224; the crop's share of the area is drawn (0.28 to 0.57, square).
             Their clips of 300 frames start at 0, 23 .. 212 and
             have frames 9 apart, ours start at 0, 27 .. 243 and are 8 apart: 10 frames off in the mean, 41 at
             most. Videos shorter than a clip repeat their last frame there, and begin again here. The middle
             crop may lie one pixel off
Unverified:  the probability of the color jitter
"""

from bod_keras.configs.protocols.common import finetuning


def get_config():
    return finetuning(
        "finetune-slowfast-ucf",
        1,
        frames=8,
        stride=8,
        size=224,
        dropout=0.5,
        recipe="scale_jitter_color",
        epochs=200,
        batch_size=64,
        learning_rate=0.005,
        weight_decay=1e-4,
        checkpoint="last",
    )
