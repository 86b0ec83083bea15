"""Linear probe as the rho-MoCo/BYOL/SimCLR/SwAV study has it on Kinetics.

Command:     python evaluate.py --model=RUN --dataset=kinetics400 --root=VIDEOS --annotations=LISTS \
               --protocol=linear-slowfast
Source:      Feichtenhofer et al., arXiv 2104.14558; github.com/facebookresearch/SlowFast,
             configs/contrastive_ssl/linear_k400_Slow_8x8_R50_syn0.yaml
Trains:      a linear classifier on clips that are augmented anew every epoch; the backbone's weights are
             fixed
Batch norm:  adapts: the published network is in training mode, so that statistics follow the labeled clips
Clips:       8 frames, every eighth, 224 x 224; a square of 224 out of a short side of 256 to 320, and flips
Views:       10 clips, evenly spaced, of 3 crops; probabilities are averaged
Normalized:  not; no dropout
Optimizer:   SGD 0.5 for 64 clips, momentum 0.9, no weight decay; 60 epochs, cosine, warm-up of 8 from 0
Chosen:      nothing
Reported:    the last epoch, on the validation videos
Differs:     their test crops have 256 pixels, here the network's 224. The crop's share of the area is drawn
             (0.28 to 0.57, square), which is theirs for frames between 4:3 and 16:9. A mean over the
             encoder's frame features is classified. Their cosine begins with the run (the peak is 0.478),
             ours after the warm-up: up to 13 % of the peak apart.
             Their clips of 300 frames start at 0, 23 .. 212 and
             have frames 9 apart, ours start at 0, 27 .. 243 and are 8 apart: 10 frames off in the mean, 41 at
             most. Videos shorter than a clip repeat their last frame there, and begin again here. The middle
             crop may lie one pixel off
Unverified:  their number of decoded frames a second at test
"""

from bod_keras.configs.protocols.common import finetuning


def get_config():
    return finetuning(
        "linear-slowfast",
        1,
        frames=8,
        stride=8,
        size=224,
        train="head",
        batch_norm="adapt",
        recipe="scale_jitter",
        epochs=60,
        batch_size=64,
        learning_rate=0.5,
        warmup_epochs=8.0,
        checkpoint="last",
    )
