from __future__ import annotations

import pytest
from ignite.handlers import EMAHandler
from monai.handlers import StatsHandler, TensorBoardStatsHandler, ValidationHandler
from torch import nn

from bundle.distributed import handlers_of_rank, rank


@pytest.fixture
def handlers(tmp_path):
    return [
        EMAHandler(nn.Linear(1, 1)),
        ValidationHandler(interval=1),
        StatsHandler(),
        TensorBoardStatsHandler(log_dir=str(tmp_path)),
    ]


def test_one_process_does_everything(handlers, monkeypatch):
    monkeypatch.delenv("RANK", raising=False)
    assert rank() == 0 and handlers_of_rank(handlers) == handlers


def test_only_the_first_process_validates_and_writes(handlers, monkeypatch):
    monkeypatch.setenv("RANK", "1")
    assert handlers_of_rank(handlers) == handlers[:1]
