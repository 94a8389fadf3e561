"""What goes over HTTP: JSON, npz, files, problem documents."""
