"""What goes wrong when a report is written."""


class ReportError(Exception):
    """A report cannot be made; the message is one line for the user and never names the patient."""
