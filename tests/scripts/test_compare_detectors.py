"""The comparison of detectors of several sizes."""

import torch
from torch import nn

from scripts.compare_detectors import table, times


def test_the_larger_network_takes_longer():
    small, large = (nn.Sequential(nn.Conv2d(1, c, 5, padding=2), nn.Conv2d(c, c, 5, padding=2)) for c in (2, 48))
    threads = torch.get_num_threads()
    try:
        seconds = times([large, small], repeats=3, size_px=96)
    finally:
        torch.set_num_threads(threads)
    assert seconds[0] > 2 * seconds[1]


def test_table_has_a_row_for_each_size_with_its_intervals():
    ends = {"": 0.9, "_low": 0.8, "_high": 1.0}
    share = {f"{name}{end}": value for name in ("found", "named") for end, value in ends.items()}
    figures = {
        "half": {
            "weights": 800_000, "ms_a_slice": 4.25, "lumbar_t1": {**share, "corner_error_mm": 2.5}, "phantom": share,
        }
    }  # fmt: skip
    last = table(figures).splitlines()[-1]
    assert last.startswith("| half | 0.8 million | 4.2 | 90.0 [80.0, 100.0] |")
    assert last.count("|") == table(figures).splitlines()[1].count("|")
