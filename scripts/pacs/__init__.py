"""A listener that reads each new lumbar study of a PACS once and stores the results there."""
