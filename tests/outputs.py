"""What commands and protocols write, read back: a picture shows something, a table has rows, a page ends."""

import csv
from pathlib import Path

import cv2
import numpy as np
from PIL import Image, ImageSequence


def read_picture(path):
    """The picture of a PNG, (height, width, 3), which must be no single color."""
    picture = cv2.imread(str(path))
    assert picture is not None and min(picture.shape[:2]) > 50, path
    assert picture.std() > 5 and len(np.unique(picture)) > 10, path
    return picture


def check_output(path):
    """Read one written file, whatever it is: of a kind that is not known here an error."""
    path = Path(path)
    if path.suffix == ".png":
        read_picture(path)
    elif path.suffix == ".gif":
        with Image.open(path) as picture:
            pages = [np.asarray(page.convert("RGB")) for page in ImageSequence.Iterator(picture)]
        assert len(pages) > 1 and all(page.std() > 5 for page in pages), path
        assert any((page != pages[0]).any() for page in pages), path
    elif path.suffix == ".csv":
        with open(path, newline="", encoding="utf-8") as file:
            rows = list(csv.reader(file))
        assert rows and rows[0] and {len(row) for row in rows} == {len(rows[0])}, path
    elif path.suffix == ".html":
        page = path.read_text(encoding="utf-8")
        assert page.lstrip().startswith("<!") and page.rstrip().endswith("</html>"), path
    else:
        raise AssertionError(f"nothing here reads {path.name}")
