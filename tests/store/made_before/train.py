"""A function with a curve, a saved file and, for one of its trials, a metric that is nan."""

import math


def run(context, *, rate=0.1):
    loss = 1.0
    for step in range(5):
        loss *= 1.0 - rate
        context.report(step, split="train", loss=loss)
    with open("note.txt", "w") as file:  # noqa: PTH123 - its digest is in the keys of this store
        file.write(f"rate {rate}, seed {context.seed}\n")
    context.save("note", "note.txt")
    return {"loss": loss, "score": math.nan if rate > 0.4 else float(context.rng("end").random())}
