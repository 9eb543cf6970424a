"""Methods over many data sets: one metric of a study, the data set as the unit, and what came of each comparison."""
