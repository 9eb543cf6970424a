"""A person's own code: found, digested and imported."""
