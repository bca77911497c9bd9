"""The page: a local web application on which a radiologist uploads, reads and signs studies."""
