"""Skin, fat, muscle, vessels, bowel and organs around a spine."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

import numpy as np
import torch
from torch import Tensor

from bundle.phantom.along import SMOOTH_WALL, AlongCanal, X
from bundle.phantom.canvas import Canvas, soft
from bundle.phantom.grain import grain
from bundle.phantom.rods import Material, RodTable
from bundle.phantom.shapes import Spine

BOWEL_WALL_MM = 2.0
#: Loops of bowel and organs, in the order in which they lie over one another.
LOOPS: dict[str, Material] = {
    "fat": Material("fat", "muscle", BOWEL_WALL_MM),
    "organ": Material("organ", "muscle", BOWEL_WALL_MM),
    "muscle": Material("muscle"),
    "fluid": Material("fluid", "muscle", BOWEL_WALL_MM),
    "gas": Material("gas", "muscle", BOWEL_WALL_MM),
    "bladder": Material("bladder", "muscle", 3.5),
    "kidney": Material("organ"),
    "sinus": Material("fat"),
}
VESSEL = Material("vessel", "muscle", 1.0)
VEIN = Material("slow_flow", "muscle", 0.8)

_NUMBERS = (
    "muscle_depth", "back_fat", "front", "half_width", "belly_fat", "belly", "muscle_fat", "psoas", "cleft_fat", "size",
)  # fmt: skip


def add_loops(table: RodTable, spine: Spine, rng: np.random.Generator) -> None:
    """Add bowel, bladder, rectum and kidneys, drawn by ``rng``."""
    s = spine.soft
    wall = float(spine.canal[:, 2].mean())
    count = int(420 * s["bowel"])
    low, high = np.array([-110.0, wall - 62 - s["front"], -200.0]), np.array([110.0, wall - 50, 170.0])
    center, bend = rng.uniform(low, high, (count, 3)), rng.normal(0, 11, (count, 3))
    contents = rng.choice(["gas", "fluid", "organ", "muscle", "fat"], size=count, p=[0.2, 0.12, 0.33, 0.2, 0.15])
    for content, *loop in zip(contents, center - bend, center + bend, rng.uniform(4, 15, (count, 3)), strict=True):
        table.add(LOOPS[content], *loop)
    sacrum = spine.body("S3").center_lps_mm
    before = sacrum + np.array([0.0, -30.0, -10.0])
    bladder = before + np.array([rng.normal(0, 5), -62.0, -8.0])
    table.add(LOOPS["bladder"], bladder, bladder, rng.uniform(22, 42, 3))
    if rng.random() < 0.5:  # uterus, or what is taken for it
        uterus = before + np.array([rng.normal(0, 6), -32.0, 22.0])
        table.add(LOOPS["muscle"], uterus, np.add(uterus, (0, -22, 16)), (20.0, 16.0, 20.0))
    rectum = before + np.array([rng.normal(0, 6), 4.0, 0.0])
    filling = str(rng.choice(["gas", "organ", "fat"], p=[0.35, 0.45, 0.2]))
    table.add(LOOPS[filling], np.add(rectum, (0, 4, -38)), np.add(rectum, (0, -4, 28)), (13.0, 11.0, 14.0))
    l2 = spine.body("L2").center_lps_mm
    for side in (-1.0, 1.0):
        center = l2 + np.array([side * rng.uniform(58, 68), 12.0, 15.0 + 8 * side])
        lean = np.array([-side * 8.0, -4.0, 24.0])
        table.add(LOOPS["kidney"], center - lean, center + lean, (22.0, 20.0, 26.0))
        inner = center - np.array([side * 6.0, 4.0, 0.0])
        table.add(LOOPS["sinus"], inner - 0.5 * lean, inner + 0.5 * lean, (8.0, 7.0, 9.0))


HEAD: dict[str, Material] = {
    "scalp": Material("fat"),
    "face": Material("muscle"),
    "airway": Material("gas"),
    "skull": Material("csf", "cortex", 5.0),
    "brain": Material("brain_grey"),
}


def add_head(table: RodTable, spine: Spine) -> None:
    """Add a head on top of a spine that reaches up to C2."""
    top = spine.body("C2").center_lps_mm + np.array([0.0, -12.0, 92.0]) * spine.soft["size"]
    radii = np.array([74.0, 92.0, 74.0]) * spine.soft["size"]
    table.add(HEAD["scalp"], top, top, radii + 6)
    table.add(HEAD["face"], np.add(top, (0, -52, -62)), np.add(top, (0, -45, -95)), (58.0, 48.0, 40.0))
    throat = spine.body("C6").center_lps_mm + np.array([0.0, -24.0, 0.0])
    table.add(HEAD["airway"], throat, np.add(throat, (0, 3, 70.0)), (8.0, 6.0, 8.0))
    table.add(HEAD["airway"], throat, np.add(throat, (0, 6, -110.0)), (8.5, 8.0, 8.0))
    table.add(HEAD["skull"], top, top, radii)
    table.add(HEAD["brain"], top, top, radii - 9)


def add_vessels(table: RodTable, spine: Spine, rng: np.random.Generator) -> None:
    """Add aorta, cava and the common iliac vessels before the bodies, and the lumbar vessels around them."""
    size = spine.soft["size"]
    fork = str(rng.choice(["L3", "L4", "L5"], p=[0.15, 0.7, 0.15]))
    forks = spine.body(fork).center_lps_mm[2] - 8.0
    for side, radii in ((1.0, (8.5, 8.0)), (-1.0, (11.0, 7.5))):
        path = []
        for body in reversed(spine.bodies):
            z = float(body.center_lps_mm[2])
            if body.level[0] == "S" or z < forks:
                break
            ahead = float(body.half_depth_at(np.zeros(1))[0]) + 6.0 + radii[1]
            path.append(body.to_patient(np.array([side * (10.0 + rng.normal(0, 1.5)), -ahead, 0.0])))
        if not path:
            continue
        path = [path[0] + np.array([0.0, 0.0, 60.0]), *path]
        end = spine.body("S1")
        ahead = float(end.half_depth_at(np.zeros(1))[0])
        for leg in (-1.0, 1.0):
            low = end.to_patient(np.array([leg * 36.0 + side * 3, -ahead - 2.0, 6.0]))
            table.add(VESSEL, path[-1], low, np.array([5.5, 5.5, 5.5]) * size)
            table.add(VESSEL, low, np.add(low, (leg * 20.0, 4.0, -60.0)), np.array([4.5, 4.5, 4.5]) * size)
        material = VEIN if side < 0 and rng.random() < 0.3 else VESSEL
        for upper, lower in pairwise(path):
            table.add(material, upper, lower, np.array([radii[0], radii[1], radii[1]]) * size)
    for body in spine.bodies:
        if body.level[0] not in "LT":
            continue
        for side in (-1.0, 1.0):  # they run round the waist of the body
            b, a = float(body.half_depth_at(np.zeros(1))[0]), body.half_width_mm
            front = body.to_patient(np.array([side * 0.45 * a, -1.0 * b - 2.5, rng.normal(0, 1.5)]))
            beside = body.to_patient(np.array([side * (0.97 * a + 1.5), 0.1 * b, rng.normal(0, 1.5)]))
            table.add(VESSEL, front, beside, (1.7, 1.7, 1.7))


class SoftTissue:
    """Skin, fat, abdominal wall and muscles as functions of the way to the canal, for a batch of patients.

    Args:
        spines: the patient of each plane.
        along: the canal.
        device: of the numbers.
    """

    def __init__(self, spines: Sequence[Spine], along: AlongCanal, device: torch.device) -> None:
        self.along = along
        rows = [[s.soft[name] for name in _NUMBERS] for s in spines]
        self._numbers = torch.as_tensor(rows, dtype=torch.float32, device=device)
        offsets = [[spine.seed % 4093] for spine in spines]
        self._offsets = torch.as_tensor(offsets, dtype=torch.float32, device=device)
        necks = [s.body("C7").center_lps_mm[2] if s.bodies[-1].level[0] == "C" else 1e4 for s in spines]
        self._neck = torch.as_tensor(necks, dtype=torch.float32, device=device)

    def _of(self, owner: Tensor, name: str) -> Tensor:
        return self._numbers[owner, _NUMBERS.index(name)][:, None]

    def skin_of_back(self, owner: Tensor, smooth_wall: Tensor) -> Tensor:
        """Y of the skin behind points whose wall is at ``smooth_wall``."""
        return smooth_wall + 22 + self._of(owner, "muscle_depth") + self._of(owner, "back_fat")

    def paint(self, canvas: Canvas) -> Tensor:
        """Paint skin, fat and the abdominal wall; returns the tiles that the patient touches."""
        tiles = canvas.tiles
        owner = tiles.owner
        x, y, z = tiles.points()
        index = self.along.index(owner, z)
        wall = self.along.at(index, SMOOTH_WALL)
        back = self.skin_of_back(owner, wall)
        neck = torch.sigmoid((z - self._neck[owner][:, None] - 5) / 14)
        half_width = self._of(owner, "half_width") * (1 - neck) + 62 * neck
        before = 40 + self._of(owner, "front") * (1 + self._of(owner, "belly") * torch.sin(z / 90))
        front = wall - before * (1 - neck) - 62 * neck
        middle, half = (back + front) / 2, (back - front) / 2
        across, along = ((x - 0.5 * self.along.at(index, X)) / half_width).abs(), ((y - middle) / half).abs()
        # A superellipse with the exponent 2.5, which is quick to compute.
        ratio = (across * across * across.sqrt() + along * along * along.sqrt()) ** 0.4
        skin = (1 - ratio) * torch.minimum(half, half_width)
        every = torch.arange(len(owner), device=tiles.device)
        seen = every[(skin > -2).any(1)]
        if len(seen) == 0:
            return seen
        skin = skin[seen]
        canvas.paint(seen, soft(skin), "skin")
        canvas.paint(seen, soft(skin - 1.8), "fat")
        self._strands(canvas, seen, skin, (x[seen], y[seen], z[seen]), wall[seen])
        # The abdominal wall reaches to the back only as far as the muscles beside the spine.
        belly = skin - self._of(owner[seen], "belly_fat")
        before = wall[seen] + 4 - y[seen]
        near = ((belly > -2) & (before > -2)).any(1)
        if bool(near.any()):
            belly, before = belly[near], torch.sigmoid(before[near])
            canvas.paint(seen[near], soft(torch.minimum(belly, 9 - belly)) * before, "muscle")
        return seen

    def _strands(self, canvas: Canvas, seen: Tensor, skin: Tensor, xyz: tuple[Tensor, Tensor, Tensor], wall: Tensor) -> None:
        """Membranes and small vessels in the fat of the belly, too thin to be seen one by one."""
        inner = (skin > self._of(canvas.tiles.owner[seen], "belly_fat")) & (xyz[1] < wall - 8)
        near = inner.any(1)
        if bool(near.any()):
            x, y, z = (part[near] for part in xyz)
            offset = self._offsets[canvas.tiles.owner[seen[near]]]
            sheets = grain(x, y, z, (5.0, 5.0, 7.0), offset)
            canvas.paint(seen[near], (0.45 * (sheets - 1.1)).clamp(0, 0.7) * inner[near], "muscle")

    def paint_muscles(self, canvas: Canvas, seen: Tensor) -> None:
        """Paint the muscles of the back, psoas and quadratus lumborum on the tiles ``seen``."""
        tiles = canvas.tiles
        x, y, z = tiles.points(seen)
        owner = tiles.owner[seen]
        index = self.along.index(owner, z)
        dx, v = x - self.along.at(index, X), y - self.along.at(index, SMOOTH_WALL)
        u = dx.abs()
        deep = self._of(owner, "muscle_depth")
        near = ((v > 2) & (v < deep + 26) & (u < 70)).any(1)
        if bool(near.any()):
            self._back(canvas, seen[near], dx[near], v[near], z[near])
        near = ((v > -80) & (v < 18) & (u > 18) & (u < 80)).any(1)
        if bool(near.any()):
            self._beside(canvas, seen[near], u[near], v[near], z[near])

    def _back(self, canvas: Canvas, seen: Tensor, dx: Tensor, v: Tensor, z: Tensor) -> None:
        owner = canvas.tiles.owner[seen]
        deep, u = self._of(owner, "muscle_depth"), dx.abs()
        # Two long humps with a groove between them.
        top = 15 - 11 * torch.exp(-(((u - 42) / 20) ** 2))
        reach = (deep + 21 - top) * (1 - 0.16 * ((26 - u).clamp(min=0) / 26) ** 2)
        lateral = ((u - 10).clamp(min=0) / 55) ** 2.1 + ((v - top) / reach).clamp(min=0) ** 2.4
        depth = torch.minimum(torch.minimum((1 - lateral ** (1 / 2.2)) * 24, u - 2.0), v - top)
        canvas.paint(seen, soft(depth + 0.9), "ligament")  # fascia
        canvas.paint(seen, soft(depth), "fat")
        # Multifidus grows toward the sacrum at the cost of the erector beside it.
        lower = torch.sigmoid((-z - 20) / 35)
        border = 14 + 8 * lower + 0.28 * (v - 20) + 2.0 * torch.sin(v / 7 + z / 40)
        cleft = 0.15 + 0.9 * self._of(owner, "cleft_fat") * (0.4 + 0.6 * lower)
        parts = torch.minimum(depth - 0.4, (u - border).abs() - cleft)
        second = 40 + 3 * torch.sin(v / 9)  # longissimus and iliocostalis
        parts = torch.minimum(parts, (u - second).abs() - 0.6 * cleft)
        canvas.paint(seen, soft(parts), "muscle")
        infiltration = self._of(owner, "muscle_fat") * (0.45 + 0.55 * lower) * (1.25 - 0.006 * u)
        canvas.paint(seen, self._fibres(owner, dx, v, z, deep, infiltration) * soft(parts - 0.3), "fat")

    def _fibres(self, owner: Tensor, dx: Tensor, v: Tensor, z: Tensor, deep: Tensor, infiltration: Tensor) -> Tensor:
        """Share of fat within muscle: strands that fan out from the spinous processes and run obliquely down, and a haze."""
        back = deep + 24 - v
        angle, away = torch.atan2(dx, back), torch.sqrt(dx * dx + back * back)
        offset = self._offsets[owner]
        strands = grain(42 * angle, away + 0.25 * z, z, (1.7, 11.0, 45.0), offset)
        patches = grain(dx, v, z, (16.0, 16.0, 40.0), offset + 31)
        # More of it near the bone, where multifidus wastes first.
        share = infiltration * (1 + 0.5 * patches + 0.6 * torch.exp(-(((v - 8) / 12) ** 2))).clamp(min=0.1)
        return (torch.sigmoid((strands - 1.5 + 2.2 * share) * 2.5) * (0.36 + 0.36 * share) + 0.22 * share).clamp(max=0.92)

    def _beside(self, canvas: Canvas, seen: Tensor, u: Tensor, v: Tensor, z: Tensor) -> None:
        owner = canvas.tiles.owner[seen]
        # Psoas grows from L1 to the pelvis, moves away from the spine and forward.
        grow = torch.sigmoid((25 - z) / 26)
        low = torch.sigmoid((-z - 70) / 16)
        thick = 4 + 14 * grow * self._of(owner, "psoas") - 2 * low
        # Beside the bodies, which grow wider downward.
        away = (21 + 2.5 * grow) * self._of(owner, "size") + thick - 0.5 + 10 * low
        ahead = -15 - 5 * grow - 22 * low
        depth = (1 - (((u - away) / thick).abs() ** 2.3 + ((v - ahead) / (1.3 * thick)).abs() ** 2.3) ** (1 / 2.3)) * thick
        canvas.paint(seen, soft(depth + 0.6), "ligament")
        canvas.paint(seen, soft(depth), "muscle")
        flat = (1 - torch.sqrt(((u - 49) / 23) ** 2 + ((v - 5) / 8) ** 2)) * 8  # with the muscles between the processes
        canvas.paint(seen, soft(flat) * torch.sigmoid((z + 75) / 4), "muscle")
