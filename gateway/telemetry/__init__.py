"""What the gateway tells its operator: metrics with bounded labels, and logs without secrets."""
