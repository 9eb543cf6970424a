"""What everything else stands on, and what stands on nothing of ours."""
