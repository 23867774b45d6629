"""Speed, measured: `make bench`. Every figure is a ratio against a peer in the same run, or stands beside its goal."""
