"""The Pareto front: of points with a cost and a value those that no other beats."""

from collections.abc import Sequence


def pareto(points: Sequence[tuple[float, float]]) -> list[int]:
    """Return the indices of the (cost, value) points of the front, the cheapest first, equal points in order.

    A lower cost and a higher value are better. One point beats another if it is at least as good in both and better in
    one, so that of equal points all are on the front.
    """
    front: list[int] = []
    for i in sorted(range(len(points)), key=lambda i: (points[i][0], -points[i][1], i)):
        if not front or points[i][1] > points[front[-1]][1] or points[i] == points[front[-1]]:
            front.append(i)
    return front
