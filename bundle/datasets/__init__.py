"""Public data sets turned into one datalist, and the training items that are drawn from it."""
