"""Lists of videos, with a header (`table`) or without (`lines`), read by one function."""

from bod_keras.data.datasets.lists.read_list import no_such_split, read_list
from bod_keras.data.datasets.lists.table import LABEL_COLUMNS

__all__ = ["LABEL_COLUMNS", "no_such_split", "read_list"]
