"""How often a disk is normal, bulging or herniated, and what else befalls it, by level and age."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

#: Shares of normal, bulging and herniated disks by level.
Prevalence = Mapping[str, tuple[float, float, float]]

#: As graded by one expert in SPIDER, 218 patients with low back pain (van der Graaf et al., Sci Data 2024;11:264), counted
#: from its radiological_gradings.csv; a disk with both flags is a herniation. A survey of 26,440 disks by the same
#: nomenclature found more herniations (L4-L5 26%, L5-S1 24%, 14% of all; Zhang et al., SpringerPlus 2016;5:1973).
PUBLISHED_PREVALENCE: Prevalence = {
    "L1-L2": (0.619, 0.376, 0.005),
    "L2-L3": (0.390, 0.592, 0.018),
    "L3-L4": (0.275, 0.679, 0.046),
    "L4-L5": (0.170, 0.674, 0.156),
    "L5-S1": (0.253, 0.651, 0.096),
}

#: The default of training: more toward the sacrum, as in every survey, but set by hand so that each class is frequent enough
#: to learn at each level.
TRAINING_PREVALENCE: Prevalence = {
    "L1-L2": (0.70, 0.20, 0.10),
    "L2-L3": (0.60, 0.28, 0.12),
    "L3-L4": (0.45, 0.38, 0.17),
    "L4-L5": (0.25, 0.42, 0.33),
    "L5-S1": (0.35, 0.35, 0.30),
}

#: Share of people without pain who have a finding somewhere in the lumbar spine, by age (Brinjikji et al., AJNR
#: 2015;36:811). Checked: 20 to 50 and 80 years; 60 and 70 lie on the line between the log-odds of 50 and 80.
ASYMPTOMATIC_BY_AGE: Mapping[str, tuple[tuple[int, ...], tuple[float, ...]]] = {
    "degeneration": ((20, 30, 40, 50, 80), (0.37, 0.52, 0.68, 0.80, 0.96)),
    "bulge": ((20, 30, 40, 50, 80), (0.30, 0.40, 0.50, 0.60, 0.84)),
    "protrusion": ((20, 30, 40, 50, 80), (0.29, 0.31, 0.33, 0.36, 0.43)),
}

#: Age at which PUBLISHED_PREVALENCE and PFIRRMANN hold; set by hand, SPIDER does not give its patients' ages.
REFERENCE_AGE = 50.0

#: Shares of Pfirrmann grades 1 to 5 of normal, bulging and herniated disks, counted from the same file of SPIDER.
PFIRRMANN: Mapping[str, tuple[float, float, float, float, float]] = {
    "normal": (0.338, 0.372, 0.207, 0.074, 0.009),
    "bulge": (0.050, 0.094, 0.346, 0.301, 0.209),
    "herniation": (0.028, 0.014, 0.264, 0.306, 0.388),
}

#: Share of disks with Modic changes by Pfirrmann grade, counted from the same file.
MODIC: Mapping[int, float] = {1: 0.066, 2: 0.117, 3: 0.342, 4: 0.519, 5: 0.875}
#: Types 1, 2, 3. SPIDER has 1%, 98%, 1%; other surveys find type 2 the most and type 3 the least common, but type 1 less
#: rare, so the shares are set by hand.
MODIC_TYPES: tuple[float, float, float] = (0.25, 0.68, 0.07)

#: Chance that an endplate of the disk has a Schmorl node. 22% of 324 patients with back pain had one somewhere, most often
#: at L1-L2 and least at L5-S1 (Egypt J Radiol Nucl Med 2019;50:65); split over levels and endplates by hand.
SCHMORL: Mapping[str, float] = {
    "T11-T12": 0.04, "T12-L1": 0.04, "L1-L2": 0.04, "L2-L3": 0.035, "L3-L4": 0.03, "L4-L5": 0.02, "L5-S1": 0.012,
}  # fmt: skip


def odds_ratio(finding: str, age_years: float, reference: float = REFERENCE_AGE) -> float:
    """Odds of a finding of ASYMPTOMATIC_BY_AGE at an age against those at the reference age."""
    ages, shares = (np.asarray(values, dtype=np.float64) for values in ASYMPTOMATIC_BY_AGE[finding])
    log_odds = np.log(shares / (1 - shares))
    at, base = np.interp([age_years, reference], ages, log_odds)
    return float(np.exp(at - base))


def published_prevalence(age_years: float = REFERENCE_AGE) -> dict[str, tuple[float, float, float]]:
    """PUBLISHED_PREVALENCE at an age: odds of bulge and herniation against normal go with ASYMPTOMATIC_BY_AGE."""
    shares = {}
    for level, (normal, bulge, herniation) in PUBLISHED_PREVALENCE.items():
        weights = (
            normal,
            bulge * odds_ratio("bulge", age_years),
            herniation * odds_ratio("protrusion", age_years),
        )
        shares[level] = (weights[0] / sum(weights), weights[1] / sum(weights), weights[2] / sum(weights))
    return shares


def pfirrmann_shares(finding: str, age_years: float = REFERENCE_AGE) -> np.ndarray:
    """(5,) shares of Pfirrmann grades of a disk: grades 3 to 5 gain the odds that degeneration gains with age."""
    shares = np.asarray(PFIRRMANN[finding]) * np.array([1, 1, *[odds_ratio("degeneration", age_years)] * 3])
    return shares / shares.sum()
