"""Speed: operators, an epoch, the harness around it and its store, each beside what people use otherwise."""
