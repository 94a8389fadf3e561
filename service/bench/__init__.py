"""`poselift bench`: how fast this machine lifts and serves, beside what a user would run instead."""
