"""Points of planes in tiles, and which tiles a solid may touch."""

import numpy as np
import pytest
import torch

from bundle.geometry import SlicePlane, unit
from bundle.phantom.tiles import SIDE, Tiles

OBLIQUE_ROW = unit([0.3, 0.9, -0.2])
OBLIQUE_COLUMN = unit(np.cross(unit(np.cross(OBLIQUE_ROW, [0.1, -0.4, -1.0])), OBLIQUE_ROW))


def plane(shape=(21, 35), row=OBLIQUE_ROW, column=OBLIQUE_COLUMN, spacing=(0.9, 1.3), origin=(-20.0, 4.0, 11.0)):
    return SlicePlane(np.array(origin), row, column, spacing, shape)


def grid(shape):
    rows, columns = np.indices(shape)
    return np.stack([columns, rows], axis=-1)


@pytest.mark.parametrize("shape", [(16, 16), (21, 35), (7, 90), (1, 1)])
def test_points_are_those_of_the_plane_also_when_oblique_odd_and_not_square(shape):
    one = plane(shape)
    tiles = Tiles([one])
    points = tiles.image(torch.stack(tiles.points(), dim=1))[0].permute(1, 2, 0)
    assert points.shape == (*shape, 3)
    assert points.numpy() == pytest.approx(one.to_patient(grid(shape)), abs=1e-4)


def test_offsets_move_the_points_along_the_normal():
    one = plane()
    near, far = (torch.stack(Tiles([one], offsets_mm=[o]).points(), dim=-1) for o in (0.0, 2.5))
    assert (far - near)[0, 0].numpy() == pytest.approx(2.5 * one.normal, abs=1e-5)


def test_local_coordinates_are_those_of_the_frame():
    one = plane()
    tiles = Tiles([one])
    axes = np.linalg.qr(np.random.default_rng(0).normal(size=(3, 3)))[0]
    origin = np.array([3.0, -2.0, 5.0])
    every = torch.arange(len(tiles))
    frame = torch.as_tensor(axes).float().expand(len(tiles), 3, 3), torch.as_tensor(origin).float().expand(len(tiles), 3)
    local = tiles.image(torch.stack(tiles.local(every, *frame), dim=1))[0].permute(1, 2, 0).numpy()
    assert local == pytest.approx((one.to_patient(grid(one.shape)) - origin) @ axes.T, abs=1e-4)


def test_image_puts_the_planes_of_a_batch_back_in_order():
    planes = [plane(), plane(origin=(100.0, 0.0, 0.0))]
    tiles = Tiles(planes)
    x = tiles.image(tiles.points()[0][:, None])
    for k, one in enumerate(planes):
        assert x[k, 0].numpy() == pytest.approx(one.to_patient(grid(one.shape))[..., 0], abs=1e-4)


def test_planes_of_different_shapes_are_refused():
    with pytest.raises(ValueError, match="one shape"):
        Tiles([plane((8, 8)), plane((8, 9))])


def test_tiles_touched_by_a_box_hold_every_point_within_it():
    one = plane((40, 50))
    tiles = Tiles([one])
    rng = np.random.default_rng(4)
    directions = np.stack([one.row_direction, one.column_direction, one.normal])
    for _ in range(50):
        center = one.to_patient(rng.uniform(-10, 60, 2)) + rng.normal(0, 4) * one.normal
        reach = rng.uniform(0.2, 15, 3)
        touched, _ = tiles.touched(np.zeros(1, dtype=int), center[None], reach[None])
        inside = (np.abs((one.to_patient(grid(one.shape)) - center) @ directions.T) < reach - 1e-3).all(-1)
        rows, columns = np.nonzero(inside)
        assert set(rows // SIDE * tiles.across + columns // SIDE) <= set(touched.tolist())


def test_solid_beside_the_plane_touches_no_tile():
    one = plane()
    touched, solids = Tiles([one]).touched(
        np.zeros(1, dtype=int), (one.center_lps_mm + 9 * one.normal)[None], np.full((1, 3), 8.0)
    )
    assert len(touched) == len(solids) == 0
