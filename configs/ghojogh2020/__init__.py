"""Ghojogh, Karray and Crowley 2020, Theoretical insights into the use of SSIM."""
