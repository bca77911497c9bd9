"""The picture of the anatomy: what is painted, and that it is seen from where it should be."""

import numpy as np
import pytest
import torch

from bundle.phantom.anatomy import sample_spine
from scripts.anatomy_picture import GROUPS, Camera, Volume, paint_volume, shaded


def everything(name, x, y, z):
    return 1.0


def ball(color="muscle", center=(0.0, 0.0, 0.0), radius=8.0):
    axis = torch.arange(-20.0, 21.0)
    z, y, x = torch.meshgrid(axis, axis, axis, indexing="ij")
    inside = torch.sigmoid(3 * (radius - torch.sqrt((x - center[0]) ** 2 + (y - center[1]) ** 2 + (z - center[2]) ** 2)))
    shares = torch.zeros(len(GROUPS), *inside.shape)
    shares[list(GROUPS).index(color)] = inside
    return Volume(shares, np.array([-20.0, -20.0, -20.0]), 1.0)


def seen(volume, camera, mask=everything):
    picture = shaded(volume, camera, mask, pixels_per_mm=1.0)
    background = picture[0, 0]
    return picture, np.abs(picture - background).sum(-1) > 0.1


def test_ball_is_round_and_in_its_place():
    camera = Camera((0.0, 1.0, 0.0), np.zeros(3), (40.0, 40.0))
    _, there = seen(ball(center=(5.0, 0.0, 6.0)), camera)
    rows, columns = np.nonzero(there)
    assert there.sum() == pytest.approx(np.pi * 64, rel=0.12)
    assert (columns.mean() + 0.5, rows.mean() + 0.5) == pytest.approx(camera.project(np.array([5.0, 0.0, 6.0])), abs=0.7)


def test_up_is_up_and_a_viewer_behind_sees_the_left_on_the_left():
    behind = Camera((0.0, -1.0, 0.0), np.zeros(3), (40.0, 40.0))
    assert behind.project(np.array([0.0, 0.0, 10.0]))[1] < 20
    assert behind.project(np.array([10.0, 0.0, 0.0]))[0] < 20


def test_what_is_nearer_hides_what_is_farther():
    one, other = ball("fluid", (0.0, -9.0, 0.0), 5.0), ball("muscle", (0.0, 9.0, 0.0), 5.0)
    both = Volume(one.shares + other.shares, one.origin_lps_mm, 1.0)
    front, _ = seen(both, Camera((0.0, 1.0, 0.0), np.zeros(3), (40.0, 40.0)))
    back, _ = seen(both, Camera((0.0, -1.0, 0.0), np.zeros(3), (40.0, 40.0)))
    assert front[20, 20, 2] > front[20, 20, 0]  # fluid is blue
    assert back[20, 20, 0] > back[20, 20, 2]  # muscle is red


def test_masked_half_is_cut_away():
    camera = Camera((0.0, 1.0, 0.0), np.zeros(3), (40.0, 40.0))
    _, whole = seen(ball(), camera)
    _, half = seen(ball(), camera, lambda name, x, y, z: (x < 0).float())
    assert half.sum() == pytest.approx(whole.sum() / 2, rel=0.15)


def test_light_comes_from_the_upper_left():
    picture, there = seen(ball(), Camera((0.0, 1.0, 0.0), np.zeros(3), (40.0, 40.0)))
    light = picture.sum(-1)
    assert light[15, 15] > light[25, 25] + 0.1
    assert there[15, 15] and there[25, 25]


def test_volume_holds_the_patients_tissue_in_its_place():
    spine = sample_spine(4)
    body = spine.body("L3").center_lps_mm
    half = np.array([4.0, 6.0, 3.0])
    volume = paint_volume(spine, body - half, body + half, 1.0)
    assert volume.shares.shape == (len(GROUPS), 6, 12, 8)
    assert volume.shares[list(GROUPS).index("marrow"), 3, 6, 4] > 0.8
    x, y, z = volume.coordinates()
    assert (float(x[0, 0, 4]), float(y[0, 6, 0]), float(z[3, 0, 0])) == pytest.approx(body, abs=1e-3)
