"""A result -> pictures: the overlay video, the 3D view, plots."""
