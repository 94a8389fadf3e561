"""Motion capture files and published data sets -> recordings and videos to train on."""
