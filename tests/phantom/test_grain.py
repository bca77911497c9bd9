"""The smooth random field that textures are made of."""

import pytest
import torch

from bundle.phantom.grain import grain


def line(step_mm, count=4096, size_mm=4.0, offset=0.0):
    along = torch.arange(count)[None] * step_mm
    return grain(along, 0.37 * along, 0.11 * along, (size_mm, size_mm, size_mm), torch.full((1, 1), offset))[0]


def test_field_has_mean_0_and_variance_1():
    values = line(1.7, 20000)
    assert (float(values.mean()), float(values.std())) == pytest.approx((0, 1), abs=0.25)


def test_near_points_are_alike_and_far_ones_are_not():
    def alike(step_mm):
        values = line(step_mm)
        return float(torch.corrcoef(torch.stack([values[:-1], values[1:]]))[0, 1])

    assert alike(0.5) > 0.85
    assert abs(alike(20.0)) < 0.2


def test_patients_differ_and_are_themselves_again():
    assert torch.equal(line(1.0, offset=5.0), line(1.0, offset=5.0))
    assert abs(float(torch.corrcoef(torch.stack([line(1.0, offset=5.0), line(1.0, offset=23.0)]))[0, 1])) < 0.3


def test_sizes_stretch_the_field_along_an_axis():
    x = torch.arange(2048)[None] * 1.0
    flat, zero = torch.zeros_like(x), torch.zeros(1, 1)
    fine, coarse = grain(x, flat, flat, (2.0, 9.0, 9.0), zero)[0], grain(x, flat, flat, (20.0, 9.0, 9.0), zero)[0]
    assert float((coarse[1:] - coarse[:-1]).abs().mean()) < 0.4 * float((fine[1:] - fine[:-1]).abs().mean())
