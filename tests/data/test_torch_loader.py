"""`ClipDataset.torch_loader`: the samples of `training`, in its order, as tensors of a DataLoader."""

import gc

import keras
import numpy as np
import pytest

torch = pytest.importorskip("torch", reason="this is PyTorch's route")

import bod_keras
from bod_keras.data import ClipDataset, Record

OPTIONS = {"frames": 4, "size": 16, "batch_size": 2, "recipe": "cvrl"}


def make(videos, **settings):
    return ClipDataset([Record(path) for path in videos], **{**OPTIONS, **settings})


def same(loader, expected):
    count = 0
    for batch, other in zip(loader, expected, strict=True):
        assert batch.keys() == other.keys() and isinstance(batch["views"], torch.Tensor)
        for name in batch:
            assert batch[name].numpy().dtype == other[name].dtype
            np.testing.assert_array_equal(batch[name].numpy(), other[name])
        count += 1
    return count


@pytest.mark.parametrize(
    "settings", [{}, {"augment": "device"}, {"workers": 0, "labels": range(6)}]
)
def test_its_samples_are_those_of_tf_data_one_by_one(videos, settings):
    pytest.importorskip("tensorflow")
    dataset = make(videos, **settings)
    loader = dataset.torch_loader(steps=5)
    assert isinstance(loader, torch.utils.data.DataLoader)
    for _ in range(2):  # a second pass begins where the first did
        assert same(loader, dataset.training(steps=5).as_numpy_iterator()) == 5


def test_it_resumes_at_a_position_and_passes_over_what_is_broken(videos, tmp_path):
    videos = [*videos[:3], str(tmp_path / "gone.avi"), *videos[3:]]
    whole = [batch for (batch,) in make(videos, max_bad_share=0.5).training_numpy(steps=6)]
    dataset = make(videos, max_bad_share=0.5)
    assert same(dataset.torch_loader(steps=6), whole) == 6
    assert list(dataset.skipped) == [videos[3]]
    position = int(whole[1]["position"][-1]) + 1
    assert same(dataset.torch_loader(position, steps=4), whole[2:]) == 4


def test_workers_of_a_data_loader_are_refused(videos):
    dataset = make(videos, workers=0).torch_loader(steps=2).dataset
    batches = iter(torch.utils.data.DataLoader(dataset, batch_size=None, num_workers=1))
    with pytest.raises(bod_keras.UserError, match="num_workers at 0"):
        next(batches)
    del batches  # and with it the worker
    gc.collect()
    with pytest.raises(bod_keras.UserError, match="position must be at least 0"):
        make(videos).torch_loader(-1)


@pytest.mark.skipif(keras.backend.backend() != "torch", reason="Keras reads it there alone")
def test_fit_takes_it_and_asks_for_the_steps_of_an_endless_one(videos):
    dataset = make(videos)
    model = bod_keras.VSimCLR(bod_keras.encoders.FrameCNN((4, 16, 16, 3), widths=(4,)))
    model.compile("sgd")
    with pytest.raises(bod_keras.UserError, match="the data set is endless. Pass steps_per_epoch"):
        model.fit(dataset.torch_loader(), verbose=0)
    model.fit(dataset.torch_loader(), steps_per_epoch=3, verbose=0, shuffle=False)
    assert int(model.next_position) == 6
    model.fit(dataset.torch_loader(6, steps=2), steps_per_epoch=2, verbose=0, shuffle=False)
    assert int(model.steps_taken) == 5
