"""Training: reading fields, the loop, the losses."""
