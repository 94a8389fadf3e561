"""`poselift bench`: how fast this machine lifts and serves, compared with the alternatives."""
