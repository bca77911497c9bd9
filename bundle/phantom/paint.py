"""From anatomy to tissue: paints patients onto the points of planes, in the order in which tissues lie over one another."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from functools import cached_property

import numpy as np
import torch
from torch import Tensor

from bundle.geometry import SlicePlane
from bundle.phantom.along import SMOOTH_WALL, AlongCanal
from bundle.phantom.blocks import inside_bodies, inside_disks
from bundle.phantom.canal import Canal
from bundle.phantom.canvas import Canvas, deepest, soft
from bundle.phantom.endplates import endplate_up_mm
from bundle.phantom.grain import grain
from bundle.phantom.posterior import BONE, FLAVUM, FORAMEN, INTERSPINOUS, JOINT, METAL, NERVE, add_posterior_elements
from bundle.phantom.rods import Array, Material, RodTable, depth_of_rods, paint_rods
from bundle.phantom.shapes import Body, DiskShape, Spine
from bundle.phantom.soft_tissue import HEAD, LOOPS, VEIN, VESSEL, SoftTissue, add_head, add_loops, add_vessels
from bundle.phantom.tiles import PointTiles, Tiles

_BONE_RIM_MM = 1.1
_ARCH_RIM_MM = 1.3
_LIGAMENT_MM = 0.8
_FRAGMENT = Material("annulus")
_OSTEOPHYTE = Material("marrow", "cortex", 1.0)
#: What may lie within a body, painted only where the body is.
_WITHIN: dict[str, Material] = {
    "vein": Material("slow_flow"),
    "haemangioma": Material("haemangioma"),
    "modic1": Material("oedema"),
    "modic2": Material("fatty_marrow"),
    "modic3": Material("sclerosis"),
    "schmorl": Material("annulus", "sclerosis", 1.0),
}


class SpinePatient:
    """One spine, made ready for painting: its solids, once for any number of planes.

    Args:
        spine: the patient.
        soft_tissue: leave out bowel, vessels, muscle and what else is not spine (for ablations): fat is everywhere.
    """

    def __init__(self, spine: Spine, soft_tissue: bool = True) -> None:
        self.spine = spine
        self.soft_tissue = soft_tissue

    def painter(self, patients: Sequence[SpinePatient], device: str | torch.device = "cpu") -> SpinePainter:
        """Who paints ``patients`` together."""
        return SpinePainter(patients, device)

    @cached_property
    def rods(self) -> RodTable:
        """Everything that is made of rods."""
        spine, table = self.spine, RodTable()
        rng = np.random.default_rng(spine.seed)
        if self.soft_tissue:
            add_loops(table, spine, rng)
            add_vessels(table, spine, rng)
        if spine.bodies[-1].level == "C2":
            add_head(table, spine)
        add_posterior_elements(table, spine)
        frames = {body.level: table.frame(body.center_lps_mm, body.axes) for body in spine.bodies}
        for level in spine.screws:
            _add_screws(table, frames[level], spine.body(level), spine)
        for growth in spine.growths:
            kind = _OSTEOPHYTE if growth.kind == "osteophyte" else _WITHIN[growth.kind]
            start, end = growth.ends_uvw_mm
            table.add(kind, start, end, growth.radii_mm, frames[growth.level], taper=growth.taper)
        for body in spine.bodies:
            if body.level[0] in "LT":  # the basivertebral vein opens at the back wall
                depth = float(body.half_depth_at(np.zeros(1))[0])
                start, end = (0.0, 1.05 * depth, 0.0), (0.0, 0.5 * depth, 0.0)
                table.add(_WITHIN["vein"], start, end, (5.0, 2.5, 1.7), frames[body.level], taper=0.3)
        for shape in spine.disks.values():
            _add_pathology(table, shape)
        return table

    @cached_property
    def bridges(self) -> tuple[Body, ...]:
        """Bone that joins two segments of the sacrum around what is left of the disk between them."""
        return tuple(_bridge(shape) for shape in self.spine.disks.values() if shape.remnant < 1)

    @cached_property
    def disks(self) -> tuple[DiskShape, ...]:
        """Disks between bodies that are not joined."""
        return tuple(shape for shape in self.spine.disks.values() if shape.remnant >= 1)

    @cached_property
    def remnants(self) -> tuple[DiskShape, ...]:
        """What is left of the disks of the sacrum."""
        return tuple(
            replace(
                shape,
                half_width_mm=shape.half_width_mm * shape.remnant,
                half_depth_mm=shape.half_depth_mm * shape.remnant,
                pathology=shape.pathology.fitted(shape.pathology.rim.scaled(shape.remnant)),
            )
            for shape in self.spine.disks.values()
            if shape.remnant < 1
        )


def _bridge(shape: DiskShape) -> Body:
    height = shape.gap_mm / 2 + 3.0
    depth = 0.97 * shape.half_depth_mm
    return Body(
        shape.disk.level, shape.disk.center_lps_mm, shape.axes, 0.97 * shape.half_width_mm, (depth, depth),
        (height, height), 0.0, 0.0, 0.0,
    )  # fmt: skip


def _add_screws(table: RodTable, frame: int, body: Body, spine: Spine) -> None:
    width = max(float(spine.canal_at(float(body.center_lps_mm[2]))[3]), 6.0) + 7
    back = float(body.half_depth_at(np.zeros(1))[0])
    for side in (-1.0, 1.0):
        table.add(METAL, (side * width, back + 22, 5.0), (side * 0.5 * width, -0.3 * back, 4.0), (3.0, 3.0, 3.0), frame)
        table.add(METAL, (side * width, back + 26, 12.0), (side * width, back + 26, -24.0), (3.0, 3.0, 3.0), frame)


def _add_pathology(table: RodTable, shape: DiskShape) -> None:
    """Fragments beyond the disk's outline, and what has become of the endplates beside it."""
    path = shape.pathology
    frame = table.frame(shape.disk.center_lps_mm, shape.axes)
    for fragment in path.fragments:
        at = fragment.center_uvw_mm
        table.add(_FRAGMENT, at, at, fragment.radii_mm, frame, -fragment.direction_deg)
    for change in path.changes:
        middle = (*change.center_uv_mm, endplate_up_mm(change.side, change.center_uv_mm[1], path.rim))
        table.add(_WITHIN[f"modic{change.modic}"], middle, middle, (*change.radii_uv_mm, change.depth_mm), frame)
    for node in path.nodes:
        table.add(_WITHIN["schmorl"], node.center_uvw_mm, node.center_uvw_mm, node.radii_mm, frame)


class SpinePainter:
    """Paints batches of planes, each of its own patient.

    Args:
        patients: one for each plane.
        device: where the points are.

    Example:
        >>> painter = SpinePainter([SpinePatient(sample_spine(1))])
        >>> plane = square_plane((0, 20, -20), (0, 1, 0), (0, 0, -1), 300.0, 256)
        >>> painter.paint([plane], torch.eye(len(TISSUES))[None]).shape[1:] == (len(TISSUES), 256, 256)
        True
    """

    def __init__(self, patients: Sequence[SpinePatient], device: str | torch.device = "cpu") -> None:
        self.device = torch.device(device)
        self.patients = list(patients)
        spines = [p.spine for p in self.patients]
        self._along = AlongCanal(spines, self.device)
        self._soft = SoftTissue(spines, self._along, self.device)
        self._canal = Canal(spines, self._along, self.device)
        marrow = [[s.soft["age"], s.seed % 4099] for s in spines]
        self._marrow = torch.as_tensor(marrow, dtype=torch.float32, device=self.device)

    @torch.no_grad()
    def paint(self, planes: Sequence[SlicePlane], contrasts: Tensor, offsets_mm: Sequence[float] | None = None) -> Tensor:
        """(B, C, rows, columns) of ``planes``, one of each patient, all of one shape.

        Args:
            planes: B of them.
            contrasts: (B, C, len(TISSUES)) brightness of each tissue.
            offsets_mm: (B,) paint this far from the planes, along their normals.
        """
        if len(planes) != len(self.patients):
            raise ValueError(f"{len(planes)} planes for {len(self.patients)} patients")
        return self._paint(Tiles(planes, self.device, offsets_mm), contrasts)

    @torch.no_grad()
    def paint_points(self, points_lps_mm: np.ndarray, contrasts: Tensor) -> Tensor:
        """(N, C) brightness of the one patient's tissue at points (N, 3), for contrasts (C, len(TISSUES)).

        The anatomy is a function of the point alone; with the identity matrix as ``contrasts`` it gives the tissues' shares.
        """
        if len(self.patients) != 1:
            raise ValueError(f"points lie in one patient, not in {len(self.patients)}")
        return self._paint(PointTiles(points_lps_mm, self.device), contrasts[None])

    def _paint(self, tiles: Tiles, contrasts: Tensor) -> Tensor:
        canvas = Canvas(tiles, contrasts)
        seen = self._soft.paint(canvas)
        if len(seen) == 0:
            return canvas.image()
        self._rods(canvas, *LOOPS.values())
        self._muscles(canvas, seen)
        self._rods(canvas, *HEAD.values(), VESSEL, VEIN)
        self._rods(canvas, FORAMEN)
        bone = self._bones(canvas)
        self._rods(canvas, JOINT, INTERSPINOUS)
        self._canal.paint(canvas, seen)
        self._rods(canvas, FLAVUM, NERVE)
        self._disks(canvas, [p.disks for p in self.patients], wrapped=True)
        self._rods(canvas, _FRAGMENT)
        inside = self._bodies(canvas, bone)
        self._within(canvas, inside)
        self._disks(canvas, [p.remnants for p in self.patients], wrapped=False)
        self._rods(canvas, METAL)
        return canvas.image()

    def depth_below_skin_mm(self, planes: Sequence[SlicePlane]) -> Tensor:
        """(B, rows, columns) how far each point lies before the skin of the back."""
        tiles = Tiles(planes, self.device)
        _, y, z = tiles.points()
        wall = self._along.at(self._along.index(tiles.owner, z), SMOOTH_WALL)
        return tiles.image((self._soft.skin_of_back(tiles.owner, wall) - y)[:, None])[:, 0]

    def _tables(self, material: Material) -> list[Array]:
        return [p.rods.of(material) for p in self.patients]

    def _rods(self, canvas: Canvas, *materials: Material) -> None:
        for material in materials:
            paint_rods(canvas, self._tables(material), material)

    def _muscles(self, canvas: Canvas, seen: Tensor) -> None:
        wanted = torch.tensor([p.soft_tissue for p in self.patients], device=self.device)
        self._soft.paint_muscles(canvas, seen[wanted[canvas.tiles.owner[seen]]])

    def _bones(self, canvas: Canvas) -> Tensor:
        """Paint arches, osteophytes and bridges; returns the depth (tiles, points) inside what bodies grow together with."""
        bridges = inside_bodies(canvas.tiles, [p.bridges for p in self.patients])
        parts = [
            depth_of_rods(canvas.tiles, self._tables(BONE)),
            depth_of_rods(canvas.tiles, self._tables(_OSTEOPHYTE)),
            (bridges.tiles, bridges.depth_mm),
        ]
        tiles, depth = deepest(torch.cat([t for t, _ in parts]), torch.cat([d for _, d in parts]))
        canvas.paint(tiles, soft(depth), "cortex")
        canvas.paint(tiles, soft(depth - _ARCH_RIM_MM), "marrow")
        return _spread(canvas, tiles, depth)

    def _bodies(self, canvas: Canvas, bone: Tensor) -> Tensor:
        """Paint bodies; returns (tiles, points) depth inside them."""
        found = inside_bodies(canvas.tiles, [p.spine.bodies for p in self.patients])
        tiles, depth = deepest(found.tiles, found.depth_mm)
        canvas.paint(tiles, soft(depth), "cortex")
        # Where a pedicle or the next segment of the sacrum joins, there is no cortex between.
        marrow = torch.maximum(depth, torch.minimum(bone[tiles], depth + 4 * _BONE_RIM_MM)) - _BONE_RIM_MM
        marrow = soft(torch.minimum(marrow, depth))
        canvas.paint(tiles, marrow, "marrow")
        canvas.paint(tiles, marrow * self._mottle(canvas.tiles, tiles), "fatty_marrow")
        return _spread(canvas, tiles, depth)

    def _mottle(self, tiles: Tiles, chosen: Tensor) -> Tensor:
        """Share of fatty islands in the marrow at the points of the tiles ``chosen``: more with age."""
        owner = tiles.owner[chosen]
        age, offset = self._marrow[owner, :1], self._marrow[owner, 1:]
        points = tiles.points(chosen)
        return ((0.08 + 0.004 * age) * (0.6 + 0.7 * grain(*points, (4.5, 4.5, 4.5), offset))).clamp(0, 0.7)

    def _within(self, canvas: Canvas, inside: Tensor) -> None:
        for material in _WITHIN.values():
            tiles, depth = deepest(*depth_of_rods(canvas.tiles, self._tables(material)))
            if len(tiles) == 0:
                continue
            limit = inside[tiles] - 0.3
            if material.rim:
                canvas.paint(tiles, soft(torch.minimum(depth, limit)), material.rim)
            canvas.paint(tiles, soft(torch.minimum(depth - material.rim_mm, limit)), material.core)

    def _disks(self, canvas: Canvas, disks: Sequence[Sequence[DiskShape]], wrapped: bool) -> None:
        """Paint disks, those outside the sacrum ``wrapped`` in the longitudinal ligaments and what is like them beside."""
        found = inside_disks(canvas.tiles, disks)
        if len(found.tiles) == 0:
            return
        # Two disks never share a point, but may share a tile: the deeper one says what a point is.
        tiles, depth = deepest(found.tiles, found.depth_mm)
        if wrapped:
            canvas.paint(tiles, soft(depth + _LIGAMENT_MM), "ligament")
        canvas.paint(tiles, soft(depth), "annulus")
        wet = _spread(canvas, *deepest(found.tiles, soft(found.depth_mm) * found.nucleus * found.hydration), rest=0.0)
        canvas.paint(tiles, wet[tiles], "nucleus")


def _spread(canvas: Canvas, tiles: Tensor, values: Tensor, rest: float = -1e4) -> Tensor:
    """(all tiles, points) ``values`` at ``tiles`` and ``rest`` elsewhere."""
    whole = values.new_full((len(canvas.tiles), values.shape[1]), rest)
    whole[tiles] = values
    return whole
