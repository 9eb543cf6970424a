"""The paper's claims as tests, what came of them, and where the paper disagrees with itself."""
