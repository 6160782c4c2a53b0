#!/usr/bin/python3
"""Adds to a folder of labelled copies the transform rotate_m1: turned by 1° the
other way than rotate_1 of the shared tools/transform.py, and otherwise like it.

    /usr/bin/python3 rotate_m1.py ORIGINALS OUT
"""
import os, sys
from PIL import Image

src, out = sys.argv[1:]
os.makedirs(out, exist_ok=True)
with open(os.path.join(out, "manifest.tsv"), "w") as m:
    m.write("orig\ttransform\tfile\n")
    for n in sorted(os.listdir(src)):
        if n.lower().endswith((".jpg", ".jpeg", ".png")):
            f = os.path.splitext(n)[0] + "__rotate_m1.jpg"
            im = Image.open(os.path.join(src, n)).convert("RGB")
            im.rotate(1, Image.BICUBIC, expand=True, fillcolor=(0, 0, 0)).save(os.path.join(out, f), quality=85)
            m.write(f"{n}\trotate_m1\t{f}\n")
