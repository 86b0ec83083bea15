"""s3:// and hdfs:// need a pair of TensorFlow and tensorflow-io whose native parts load together."""

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]


@pytest.mark.parametrize(
    "file", ["pyproject.toml", "requirements.txt", "bod_keras/storage/calls.py"]
)
def test_every_place_names_the_pair(file):
    text = (ROOT / file).read_text(encoding="utf-8")
    if file.endswith(".py"):
        assert "TensorFlow 2.17: pip install" in text and "'bod-keras[tensorflow,io]'" in text
        return
    assert set(re.findall(r"tensorflow-io==([\d.]+)", text)) == {"0.37.1"}
    pinned = re.search(r"tensorflow>=2\.17,<2\.18|tensorflow==2\.17|tensorflow~=2\.17\.\d", text)
    assert pinned, text
