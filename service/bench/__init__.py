"""`poselift bench`: how fast this machine lifts and serves, beside the alternatives."""
