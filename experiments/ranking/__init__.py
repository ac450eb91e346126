"""Reconstructions ranked by people and by metrics."""
