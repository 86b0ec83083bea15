"""Pictures of Fashion-MNIST instead of digits."""

from pathlib import Path

import cv2
import numpy as np

FILE = "fashion-mnist.npz"


def garment_masks(folder, images, side):
    """Opacity masks of one image set, one array (count, side, side) for each of ten kinds of garment.

    Args:
        folder: holds `FILE`, which `tools/fetch_fashion_mnist.py` fetches: ten arrays "0" to "9" of pictures.
        images: "train", the first two thirds of each kind, or "test", the rest.
        side: of a mask.

    Raises:
        FileNotFoundError: if the file is missing.
    """
    path = Path(folder) / FILE
    if not path.is_file():
        raise FileNotFoundError(
            f'{folder} lacks {FILE}. Fetch the pictures of the regime "fashion" with: '
            f"python tools/fetch_fashion_mnist.py {folder}"
        )
    masks = []
    with np.load(path) as file:
        for kind in range(len(file)):
            pictures = file[str(kind)]
            cut = len(pictures) * 2 // 3
            pictures = pictures[:cut] if images == "train" else pictures[cut:]
            masks.append(
                np.stack([cv2.resize(p, (side, side)) for p in pictures]) / np.float32(255)
            )
    return tuple(masks)
