"""One network a file, each with its named sites. `harness.models.build` makes them from a configuration."""
