from collections import Counter

import numpy as np
import pytest

from bod_keras.data.loading.order import EpochOrder


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


def test_groups_get_their_shares_evenly_spread():
    groups = [range(60), range(60, 80), range(80, 100)]
    order = EpochOrder(100, 4, groups=groups, shares=[1.0, 1.0, 2.0])
    member = np.repeat([0, 1, 2], [60, 20, 20])
    for epoch in range(4):
        entries = order.entries(epoch)
        assert np.bincount(member[entries]).tolist() == [25, 25, 50]
        for quarter in np.split(member[entries], 4):
            counts = np.bincount(quarter, minlength=3)
            assert np.abs(counts - [6.25, 6.25, 12.5]).max() <= 2.5
        small = Counter(entries[member[entries] == 1].tolist())
        assert set(small) == set(range(60, 80)) and set(small.values()) == {1, 2}
    shown = {i for epoch in range(30) for i in order.entries(epoch).tolist()}
    assert shown == set(range(100))


def test_no_batch_holds_a_record_of_a_small_group_twice():
    groups = [range(90), range(90, 100)]
    order = EpochOrder(100, 18, groups=groups)  # the ten records get 50 places
    for epoch in range(20):
        for batch in np.split(order.entries(epoch)[: 5 * 18], 5):
            assert len(set(batch.tolist())) == 18
    with pytest.raises(ValueError, match=r"group of 10 .* 50 of the 100 .* at most 18.*: 19"):
        EpochOrder(100, 19, groups=groups)


@pytest.mark.parametrize(
    "arguments, message",
    [
        ({"shard": (2, 2)}, r"0 <= index < count. Received: shard=\(2, 2\)"),
        ({"shard": (-1, 2)}, r"Received: shard=\(-1, 2\)"),
        ({"shard": (0, 5)}, "number of hosts, 5. Received: batch_size=2, 9 videos"),
        ({"groups": [range(5), range(5, 9)], "shares": [1, 0]}, r"positive.*Received: \[1.0, 0.0"),
    ],
)
def test_wrong_arguments(arguments, message):
    with pytest.raises(ValueError, match=message):
        EpochOrder(9, 2, **arguments)
