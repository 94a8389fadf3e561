"""3D poses after lifting: filters, limb lengths, world space, angles, metrics."""
