"""What `experiments.benchmark` measures, a module per subject."""
