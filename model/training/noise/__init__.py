"""Detection noise of real detectors, measured on videos, for training to simulate."""
