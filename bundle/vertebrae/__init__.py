"""Step 1: vertebral bodies in sagittal images, their names, and their place in the patient."""
