"""What passes between the driver and a worker, by files in an attempt's folder."""
