"""Configs: one file per study, one argument per network."""
