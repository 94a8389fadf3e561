"""Calibrated confidence per joint: fitted, and evaluated on people it was not fitted to."""
