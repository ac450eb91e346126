"""Snell et al. 2017, Learning to generate images with perceptual metrics."""
