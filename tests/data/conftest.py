"""Video files for the tests of the loader."""

import pytest

from tests.video_files import make_ramp_clip, save_video, write_broken


@pytest.fixture(scope="session")
def videos(tmp_path_factory):
    """Six whole lossless videos of different lengths, as paths."""
    folder = tmp_path_factory.mktemp("videos")
    return [
        save_video(folder / f"v{index}.avi", make_ramp_clip(20 + 7 * index, offset=index))
        for index in range(6)
    ]


@pytest.fixture(scope="session")
def broken(tmp_path_factory):
    """Broken files: name -> (path, expected word of the reason)."""
    return write_broken(tmp_path_factory.mktemp("broken"))


@pytest.fixture(scope="session")
def ramp_clip():
    """The function `make_ramp_clip`; as a fixture, so that no test imports a conftest."""
    return make_ramp_clip


@pytest.fixture(scope="session")
def write_video():
    """The function `save_video`."""
    return save_video
