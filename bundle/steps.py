"""The steps of a reading by name, for whoever shows its progress without doing it: this module imports nothing."""

#: What each step does, as a progress bar says it.
STEPS: tuple[str, ...] = ("reading files", "vertebrae", "slices and ROIs", "disks", "report")
