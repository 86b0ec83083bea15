from collections import Counter

import numpy as np
import pytest

from bod_keras.data import Record
from bod_keras.data.loading.order import EpochOrder, video_numbers


def epoch_of(order, epoch):
    span = order.steps * order.batch_size
    samples = range(epoch * span, (epoch + 1) * span)
    located = [order.locate(order.position(n)) for n in samples]
    assert {e for e, _ in located} == {epoch}
    return [index for _, index in located]


@pytest.mark.parametrize("hosts", [1, 2, 3, 4])
def test_hosts_share_no_record_and_lose_none(hosts):
    """24 records in batches of 2 fill an epoch of 1 to 4 hosts without a rest."""
    orders = [EpochOrder(24, 2, seed=3, shard=(i, hosts)) for i in range(hosts)]
    assert {order.steps for order in orders} == {12 // hosts}
    for epoch in (0, 1, 5):
        shown = Counter(index for order in orders for index in epoch_of(order, epoch))
        assert shown == dict.fromkeys(range(24), 1)


def test_a_rest_is_left_out_by_all_hosts_together_others_each_time():
    orders = [EpochOrder(23, 2, shard=(i, 3)) for i in range(3)]
    seen = set()
    for epoch in range(20):
        shown = [index for order in orders for index in epoch_of(order, epoch)]
        assert len(shown) == len(set(shown)) == 18
        seen |= set(shown)
    assert seen == set(range(23))


def test_each_host_has_a_block_of_every_global_batch():
    """In the order of the hosts: joined, their samples are the stream of one host, however many there are."""
    one, hosts = EpochOrder(24, 8), [EpochOrder(24, 2, shard=(i, 4)) for i in range(4)]
    for step in range(6):
        expected = [(g, *one.locate(g)) for g in range(8 * step, 8 * step + 8)]
        samples = range(2 * step, 2 * step + 2)
        positions = [host.position(n) for host in hosts for n in samples]
        assert [(g, *hosts[0].locate(g)) for g in positions] == expected


def test_the_order_is_a_function_of_seed_and_epoch():
    def draw(seed, epoch):
        return tuple(EpochOrder(30, 5, seed=seed).entries(epoch).tolist())

    assert draw(1, 2) == draw(1, 2)
    assert len({draw(seed, epoch) for seed in range(3) for epoch in range(3)}) == 9


def test_the_order_is_what_it_was():
    """A run that continues with a later version does so in the order in which it began."""
    videos = [0, 0, 0, 1, 1, 1, 2, 2, 3, 4, 5]
    order = EpochOrder(11, 3, seed=323, videos=videos)
    assert order.entries(0).tolist() == [1, 3, 7, 0, 4, 10, 5, 6, 2, 9, 8]
    assert (EpochOrder(11, 3).entries(1) == EpochOrder(11, 3, seed=0).entries(1)).all()


@pytest.mark.parametrize("hosts", [1, 2])
def test_no_global_batch_holds_a_video_twice(hosts):
    """Also with a rest, and where a video has almost as many records as an epoch has batches."""
    for records, batch, videos in (
        (23, 4, [0] * 4 + list(range(1, 20))),
        (24, 4, [*range(12)] * 2),
    ):
        orders = [EpochOrder(records, batch, shard=(i, hosts), videos=videos) for i in range(hosts)]
        for epoch in range(30):
            assert sorted(orders[0].entries(epoch).tolist()) == list(range(records))
            per_host = [np.reshape(epoch_of(order, epoch), (-1, batch)) for order in orders]
            for rows in np.concatenate(per_host, axis=1):
                assert len({videos[row] for row in rows}) == batch * hosts


def test_records_that_overlap_show_one_video():
    records = [
        Record("a", span=(0, 2)),
        Record("b"),
        Record("a", span=(5, 6)),
        Record("a", span=(2, 3)),
    ]
    assert video_numbers(records) == [0, 1, 2, 3]
    assert video_numbers([*records, Record("a", span=(1, 2.5))]) == [0, 1, 2, 0, 0]
    assert video_numbers([*records, Record("a")]) == [0, 1, 0, 0, 0]


@pytest.mark.parametrize(
    "arguments, message",
    [
        ({"shard": (2, 2)}, r"0 <= index < count. Received: shard=\(2, 2\)"),
        ({"shard": (-1, 2)}, r"Received: shard=\(-1, 2\)"),
        ({"shard": (0, 5)}, "number of hosts, 5. Received: batch_size=2, 9 videos"),
        ({"videos": [7] * 9}, "Received: batch_size=2, 1 videos in 9 records"),
    ],
)
def test_wrong_arguments(arguments, message):
    with pytest.raises(ValueError, match=message):
        EpochOrder(9, 2, **arguments)
