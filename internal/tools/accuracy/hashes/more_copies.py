#!/usr/bin/python3
"""Makes labelled copies that the shared tools/transform.py has not: turned the
other way, and mirrored on top of something else.

    /usr/bin/python3 more_copies.py ORIGINALS OUT
"""
import hashlib, math, os, sys
from PIL import Image

src, out = sys.argv[1:]


def tilt(im, a):  # clockwise, on black
    return im.rotate(-a, Image.BICUBIC, expand=True, fillcolor=(0, 0, 0))


def inscribed(im, deg):  # the largest part without corners
    a = math.radians(abs(deg))
    w, h = im.size
    k = math.cos(2 * a)
    wr, hr = int((w * math.cos(a) - h * math.sin(a)) / k) - 2, int((h * math.cos(a) - w * math.sin(a)) / k) - 2
    r = im.rotate(-deg, Image.BICUBIC)
    x, y = (w - wr) // 2, (h - hr) // 2
    return r.crop((x, y, x + wr, y + hr))


def crop(im, pct, ax, ay):
    w, h = im.size
    dw, dh = round(w * pct / 100), round(h * pct / 100)
    x, y = round(dw * ax), round(dh * ay)
    return im.crop((x, y, x + w - dw, y + h - dh))


def square(im):
    w, h = im.size
    s = min(w, h)
    x, y = (w - s) // 2, (h - s) // 2
    return im.crop((x, y, x + s, y + s))


def corner(n, t):  # which corner stays: by the names, so that it is always the same
    b = hashlib.sha256(f"{n}/{t}".encode()).digest()[0]
    return b & 1, b >> 1 & 1


mirror = lambda im: im.transpose(Image.FLIP_LEFT_RIGHT)
T = {
    "rotate_m1": lambda im, n: tilt(im, -1),
    "rotate_m2_crop": lambda im, n: inscribed(im, -2),
    "rotate_m3": lambda im, n: tilt(im, -3),
    "rotate_3": lambda im, n: tilt(im, 3),
    "mirror_rotate_1": lambda im, n: tilt(mirror(im), 1),
    "mirror_rotate_2_crop": lambda im, n: inscribed(mirror(im), 2),
    "mirror_crop5": lambda im, n: crop(mirror(im), 5, .5, .5),
    "mirror_crop20": lambda im, n: crop(mirror(im), 20, .5, .5),
    "mirror_crop30": lambda im, n: crop(mirror(im), 30, .5, .5),
    "mirror_crop_o5": lambda im, n: crop(mirror(im), 5, *corner(n, "o5")),
    "mirror_crop_o10": lambda im, n: crop(mirror(im), 10, *corner(n, "o10")),
    "mirror_square": lambda im, n: square(mirror(im)),
}
os.makedirs(out, exist_ok=True)
with open(os.path.join(out, "manifest.tsv"), "w") as m:
    m.write("orig\ttransform\tfile\n")
    for n in sorted(os.listdir(src)):
        if not n.lower().endswith((".jpg", ".jpeg", ".png")):
            continue
        im = Image.open(os.path.join(src, n)).convert("RGB")
        for t, f in T.items():
            file = f"{os.path.splitext(n)[0]}__{t}.jpg"
            f(im, n).save(os.path.join(out, file), quality=85)
            m.write(f"{n}\t{t}\t{file}\n")
