import time

import pytest
import torch

from bundle.phantom.pool import RenderPool


class Numbers:
    """Items that hold their own index; the one numbered ``broken`` fails."""

    def __init__(self, length, broken=None):
        self.length, self.broken = length, broken

    def __len__(self):
        return self.length

    def __getitems__(self, indices):
        if self.broken in indices:
            raise ValueError("this item cannot be rendered")
        return [{"number": torch.tensor([k]), "label": k} for k in indices]


@pytest.fixture
def pool_of():
    made = []

    def make(*args, **kwargs):
        made.append(RenderPool(*args, **kwargs))
        return made[-1]

    yield make
    for pool in made:
        pool.close()


def until(condition, seconds=30.0):
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, "it did not happen in time"
        time.sleep(0.01)


def test_items_are_those_of_the_dataset_as_tensors(pool_of):
    pool = pool_of(Numbers(64), length=40, size=16, ready=16, batch=4)
    drawn = [pool[k] for k in range(40)]
    assert all(isinstance(item["number"], torch.Tensor) and int(item["number"]) == item["label"] for item in drawn)
    assert len(pool) == pool.drawn == 40


def test_the_oldest_items_are_replaced_as_others_are_drawn(pool_of):
    pool = pool_of(Numbers(1000), length=10**6, size=16, ready=16, batch=4)
    seen = {pool[k]["label"] for k in range(16)}
    assert max(seen) < 40
    for k in range(200):
        pool[k]
    until(lambda: pool.rendered >= 200)
    assert min(pool[k]["label"] for k in range(100)) > 100


def test_no_more_is_rendered_than_is_drawn(pool_of):
    pool = pool_of(Numbers(10**6), length=10, size=16, ready=16, batch=4)
    pool[0]
    time.sleep(0.5)
    assert pool.rendered <= 16 + 1 + 4


def test_after_the_last_item_the_first_comes_again(pool_of):
    pool = pool_of(Numbers(8), length=10**6, size=8, ready=8, batch=4)
    for k in range(60):
        pool[k]
    until(lambda: pool.rendered > 40)
    assert {pool[k]["label"] for k in range(200)} == set(range(8))


def test_two_processes_render_different_items(pool_of):
    pool = pool_of(Numbers(10**6), length=10**6, size=32, ready=32, processes=2, batch=4)
    pool[0]
    pool.close()  # else some are replaced while they are counted
    assert len({pool[k]["label"] for k in range(400)}) == 32


def test_processes_that_died_are_an_error_and_no_endless_wait(pool_of):
    pool = pool_of(Numbers(64, broken=0), length=4, size=8, ready=8, batch=4)
    with pytest.raises(RuntimeError, match="have died"):
        pool[0]


def test_index_beyond_the_end_is_refused(pool_of):
    with pytest.raises(IndexError):
        pool_of(Numbers(8), length=4, size=4)[4]
