"""The app for MONAI Label: `monailabel start_server --app scripts/label`. It runs in an environment of its own."""
