"""Lu 2019, The level weighted structural similarity loss."""
