"""What everything else is built on, and what imports nothing of ours."""
