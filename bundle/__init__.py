"""Reads a lumbar-spine MR study: vertebrae, disks, and a finding for each disk.

Imports run one way: ``report -> disks -> vertebrae -> study -> geometry``; ``phantom`` and ``datasets`` use ``study`` and
``geometry`` only. ``reading`` ties the steps together.
"""

__version__ = "0.1.0"
