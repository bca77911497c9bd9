"""Rods: their depth, and that only tiles they do not reach are left out."""

import numpy as np
import pytest
import torch

from bundle.geometry import unit
from bundle.geometry.resample import square_plane
from bundle.phantom.anatomy import sample_spine
from bundle.phantom.canvas import Canvas, deepest
from bundle.phantom.paint import SpinePatient
from bundle.phantom.posterior import BONE, FLAVUM, FORAMEN, JOINT, NERVE
from bundle.phantom.rods import Material, RodTable, depth_of_rods, paint_rods
from bundle.phantom.soft_tissue import LOOPS, VESSEL
from bundle.phantom.tiles import Tiles
from bundle.phantom.tissues import TISSUES

FAT = Material("fat")


def oblique(size=48, side=60.0, center=(0.0, 0.0, 0.0)):
    return square_plane(center, unit([1, 0.3, 0.1]), unit([-0.2, 0.6, -1]), side, size)


def depth_image(table, plane, material=FAT):
    """Depth at each point; -1e4 on tiles that no rod may touch."""
    tiles = Tiles([plane])
    touched, depth = deepest(*depth_of_rods(tiles, [table.of(material)]))
    whole = torch.full((len(tiles), depth.shape[1] if len(touched) else 64), -1e4)
    whole[touched] = depth
    return tiles.image(whole[:, None])[0, 0].numpy()


def points_of(plane):
    rows, columns = np.indices(plane.shape)
    return plane.to_patient(np.stack([columns, rows], axis=-1))


def capsule_depth(points, start, end, radius):
    line = end - start
    t = np.clip((points - start) @ line / max(line @ line, 1e-12), 0, 1)
    return radius - np.linalg.norm(points - start - t[..., None] * line, axis=-1)


def test_depth_is_exact_for_a_sphere():
    table, plane = RodTable(), oblique()
    table.add(FAT, (2, 3, 1), (2, 3, 1), (9, 9, 9))
    seen = depth_image(table, plane)
    true = 9 - np.linalg.norm(points_of(plane) - [2, 3, 1], axis=-1)
    near = true > -1.5
    assert seen[near] == pytest.approx(true[near], abs=0.02)


def test_depth_is_exact_for_a_round_capsule():
    table, plane = RodTable(), oblique()
    start, end = np.array([-12.0, 2.0, 5.0]), np.array([9.0, -4.0, -8.0])
    table.add(FAT, start, end, (5, 5, 5))
    seen, true = depth_image(table, plane), capsule_depth(points_of(plane), start, end, 5.0)
    near = true > -1.5
    assert seen[near] == pytest.approx(true[near], abs=0.02)


def test_taper_makes_the_far_end_thinner():
    table = RodTable()
    table.add(FAT, (-20, 0, 0), (20, 0, 0), (8, 8, 8), taper=0.5)
    plane = square_plane((0, 0, 0), (1, 0, 0), (0, 1, 0), 80.0, 160)
    thick = (depth_image(table, plane) > 0).sum(0) * 0.5
    assert thick[80 - 30] == pytest.approx(14.0, abs=1.5)
    assert thick[80 + 30] == pytest.approx(9.0, abs=1.5)


def test_yaw_turns_the_section_from_the_first_toward_the_second_axis():
    table = RodTable()
    table.add(FAT, (0, 0, -9), (0, 0, 9), (12, 3, 3), yaw_deg=30)
    plane = square_plane((0, 0, 0), (1, 0, 0), (0, 1, 0), 40.0, 80)
    seen = depth_image(table, plane)
    points = points_of(plane)
    tip = 11 * np.array([np.cos(np.radians(30)), np.sin(np.radians(30)), 0])
    assert seen.flat[np.linalg.norm(points - tip, axis=-1).argmin()] > 0
    assert seen.flat[np.linalg.norm(points - tip * [1, -1, 1], axis=-1).argmin()] < 0


def test_rods_in_a_frame_are_moved_and_turned_with_it():
    axes = np.linalg.qr(np.random.default_rng(3).normal(size=(3, 3)))[0]
    table, plain = RodTable(), RodTable()
    frame = table.frame((4, -3, 2), axes)
    start, end = np.array([1.0, 2.0, -6.0]), np.array([3.0, -5.0, 6.0])
    table.add(FAT, start, end, (4, 4, 4), frame)
    plain.add(FAT, (4, -3, 2) + start @ axes, (4, -3, 2) + end @ axes, (4, 4, 4))
    assert depth_image(table, oblique()) == pytest.approx(depth_image(plain, oblique()), abs=1e-3)


def test_rods_added_later_are_seen_too():
    table = RodTable()
    table.add(FAT, (0, 0, 0), (0, 0, 0), (1, 1, 1))
    assert len(table.of(FAT)) == 1
    table.add(FAT, (1, 0, 0), (1, 0, 0), (1, 1, 1))
    assert len(table.of(FAT)) == 2
    assert table.of(Material("gas")).shape == (0, 19)


def all_touched(owner, *_):
    return torch.arange(25), torch.zeros(25, dtype=torch.int64)


def test_leaving_tiles_out_never_cuts_a_rod():
    """Every rod of a patient on small planes beside it: tiles with a bounding box against all points of the plane."""
    table = SpinePatient(sample_spine(2)).rods
    for material in (BONE, FLAVUM, JOINT, NERVE, FORAMEN, VESSEL, LOOPS["gas"], LOOPS["kidney"]):
        rods = table.of(material)
        for rod in rods[:: max(len(rods) // 12, 1)]:
            plane = oblique(40, 48.0, tuple((rod[:3] + rod[3:6]) / 2))
            tiles = Tiles([plane])
            touched, depth = depth_of_rods(tiles, [rod[None]])
            # The same rod with a reach that leaves nothing out: its tiles are all of the plane's.
            everywhere = Tiles([plane])
            everywhere.touched = all_touched
            _, whole = depth_of_rods(everywhere, [rod[None]])
            left_out = np.setdiff1d(np.arange(len(tiles)), touched.numpy())
            assert (whole[left_out] < 0).all(), material
            assert torch.equal(whole[touched], depth)


def test_rim_lies_around_the_core():
    table, plane = RodTable(), square_plane((0, 0, 0), (1, 0, 0), (0, 1, 0), 40.0, 81)
    bone = Material("marrow", "cortex", 2.0)
    table.add(bone, (0, 0, 0), (0, 0, 0), (10, 10, 10))
    canvas = Canvas(Tiles([plane]), torch.eye(len(TISSUES))[None])
    paint_rods(canvas, [table.of(bone)], bone)
    seen = canvas.image()[0]
    assert seen[TISSUES.index("marrow"), 40, 40] > 0.99
    assert seen[TISSUES.index("cortex"), 40, 40 + round(9 / 40 * 81)] > 0.85
    assert seen.sum(0) == pytest.approx(torch.ones(81, 81), abs=1e-5)
