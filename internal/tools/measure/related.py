#!/usr/bin/python3
"""Prints which other originals each 2 x 2 collage of tools/transform.py shows,
and the two originals that share half of their pixels, for measure -related.

  related.py PHOTOS
"""
import hashlib, os, random, sys

names = sorted(f for f in os.listdir(sys.argv[1]) if f.lower().endswith((".jpg", ".jpeg", ".png")))
for n in names:
    # The order of draws of transform.py with its default seed: slot, neighbours.
    r = random.Random(hashlib.sha256(f"1/{n}/collage_2x2".encode()).digest()); r.randrange(4)
    for p in r.sample([p for p in names if p != n], 3): print(os.path.splitext(n)[0] + "__collage_2x2.jpg\t" + p)
print("stk_generic-dark-skybox-east_9182c0e5.jpg\tstk_generic-dark-skybox-west_77688046.jpg")
