#!/usr/bin/env python3
"""sheet.py PICTURES PAIRS LEVEL OUT [PER [VERDICTS]] puts the matches of one level
between different packages, as corpus wrote them to PAIRS, on contact sheets
OUT-000.png and so on, for a person to look at: PER pairs on a sheet (default 40),
each pair once, numbered as in OUT.tsv, which has the two digests, the paths and
the numbers. Left out are pairs of the file VERDICTS, matches of the features whose
hashes are within 31 bits, and matches of the hashes that the features confirm."""
import hashlib
import sys
from PIL import Image, ImageDraw

pictures, pairs, level, out = sys.argv[1:5]
per = int(sys.argv[5]) if len(sys.argv) > 5 else 40
side, cols = 190, 4
known, seen, rows = set(), set(), []
if len(sys.argv) > 6:
    for line in open(sys.argv[6]):
        if line[0] != "#":
            known.add(tuple(sorted(line.split("\t")[:2])))


def digest(path):
    return hashlib.sha256(open(pictures + "/" + path, "rb").read()).hexdigest()[:12]


for line in open(pairs):
    f = line.rstrip("\n").split("\t")
    if f[0] != level or f[1].split("/")[0] == f[2].split("/")[0]:
        continue
    if f[4:] == ["true"] or len(f) > 5 and int(f[3]) <= 31:
        continue
    k = tuple(sorted([digest(f[1]), digest(f[2])]))
    if k not in seen and k not in known:
        seen.add(k)
        rows.append(list(k) + f[1:])
rows.sort(key=lambda f: (f[2], f[3]))
with open(out + ".tsv", "w") as t:
    for i, f in enumerate(rows):
        t.write("\t".join([str(i)] + f) + "\n")
for at in range(0, len(rows), per):
    some = rows[at:at + per]
    high = (len(some) + cols - 1) // cols
    sheet = Image.new("RGB", (cols * (2 * side + 14), high * (side + 16)), (90, 90, 140))
    draw = ImageDraw.Draw(sheet)
    for i, f in enumerate(some):
        x, y = i % cols * (2 * side + 14), i // cols * (side + 16)
        numbers = f[4] + " bits" + (f", {f[6]} places, coverage {f[8]}, {f[10]} squares" if len(f) > 10 else "")
        draw.text((x + 2, y + 1), f"{at + i}: {numbers}", fill=(255, 255, 0))
        for k, p in enumerate(f[2:4]):
            m = Image.open(pictures + "/" + p).convert("RGBA")
            m.thumbnail((side, side))
            white = Image.new("RGBA", m.size, "white")
            sheet.paste(Image.alpha_composite(white, m).convert("RGB"), (x + k * (side + 2), y + 14))
    sheet.save(f"{out}-{at // per:03d}.png")
print(len(rows), "pairs")
