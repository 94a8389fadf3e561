"""What people hold -> what training reads: original motion capture, published data sets."""
