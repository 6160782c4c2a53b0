#!/usr/bin/env python3
"""sheet.py PICTURES PAIRS LEVEL RULE OUT [PER] puts the pairs of one level and
rule, as corpus wrote them to PAIRS, on contact sheets OUT-000.png and so on, for
a person to look at: PER pairs on a sheet (default 28), each pair once, numbered
as in OUT.tsv, which has the two paths. The rule "-" is the empty one."""
import sys
from PIL import Image, ImageDraw

pictures, pairs, level, rule, out = sys.argv[1:6]
per = int(sys.argv[6]) if len(sys.argv) > 6 else 28
side, cols = 190, 4
seen, rows = set(), []
for line in open(pairs):
    f = line.rstrip("\n").split("\t")
    if f[1] != level or f[0] != ("" if rule == "-" else rule):
        continue
    k = tuple(sorted(f[3:1:-1]))
    if k not in seen:
        seen.add(k)
        rows.append(f)
rows.sort(key=lambda f: (f[2], f[3]))
with open(out + ".tsv", "w") as t:
    for i, f in enumerate(rows):
        t.write("\t".join([str(i)] + f[2:]) + "\n")
for at in range(0, len(rows), per):
    some = rows[at:at + per]
    high = (len(some) + cols - 1) // cols
    sheet = Image.new("RGB", (cols * (2 * side + 14), high * (side + 16)), (90, 90, 140))
    draw = ImageDraw.Draw(sheet)
    for i, f in enumerate(some):
        x, y = i % cols * (2 * side + 14), i // cols * (side + 16)
        numbers = f[4] + " bits" + (f", {f[6]} places, cov {f[8]}, sq {f[10]}" if len(f) > 8 else "")
        draw.text((x + 2, y + 1), f"{at + i}: {numbers}", fill=(255, 255, 0))
        for k, p in enumerate(f[2:4]):
            m = Image.open(pictures + "/" + p).convert("RGBA")
            m.thumbnail((side, side))
            white = Image.new("RGBA", m.size, "white")
            sheet.paste(Image.alpha_composite(white, m).convert("RGB"), (x + k * (side + 2), y + 14))
    sheet.save(f"{out}-{at // per:03d}.png")
print(len(rows), "pairs")
