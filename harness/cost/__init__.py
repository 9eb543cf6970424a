"""Parameters, variables and multiply-accumulates of a network: `harness.cost.count`."""
