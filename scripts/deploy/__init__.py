"""The reading as a MONAI Deploy application."""
