"""Which of ImageNet's 1,000 classes a class folder is, by its WordNet number: the ten that Imagenette has.

The index is that of the ILSVRC 2012 challenge's classes sorted by WordNet number, which all pretrained networks use.
"""

CLASSES = 1_000
"""How many classes such networks have."""
IMAGENET = {
    "n01440764": 0,  # tench
    "n02102040": 217,  # English springer
    "n02979186": 482,  # cassette player
    "n03000684": 491,  # chain saw
    "n03028079": 497,  # church
    "n03394916": 566,  # French horn
    "n03417042": 569,  # garbage truck
    "n03425413": 571,  # gas pump
    "n03445777": 574,  # golf ball
    "n03888257": 701,  # parachute
}
