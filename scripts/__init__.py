"""Programs that a person starts."""
