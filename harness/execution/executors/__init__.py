"""Who carries out attempts."""
