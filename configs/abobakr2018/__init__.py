"""Abobakr et al. 2018, SSIMLayer."""
