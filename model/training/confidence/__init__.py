"""A calibrated confidence for each joint, fitted and judged."""
