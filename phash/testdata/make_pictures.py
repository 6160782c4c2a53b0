#!/usr/bin/python3
"""Makes the pictures of this folder's test files: one drawn scene in every
variety of file that phash reads, or must refuse by name. Needs Pillow with WebP,
ImageMagick and cwebp:

    apt-get install python3-pil imagemagick webp
    /usr/bin/python3 make_pictures.py pictures
"""
import os, struct, subprocess, sys
from PIL import Image, ImageDraw

out = sys.argv[1]
os.makedirs(out, exist_ok=True)


def scene(w=144, h=104):
    """Not symmetric in any way, smooth and sharp in places."""
    k = 4
    im = Image.new("RGB", (w * k, h * k))
    px = im.load()
    for y in range(h * k):
        for x in range(w * k):
            px[x, y] = (x * 200 // (w * k), y * 180 // (h * k), 90 + (x + y) * 60 // ((w + h) * k))
    d = ImageDraw.Draw(im)
    d.ellipse((60, 30, 240, 210), fill=(250, 220, 60))
    d.polygon([(300, 400), (420, 120), (560, 400)], fill=(40, 110, 70))
    d.rectangle((20, 300, 150, 380), fill=(200, 60, 50))
    d.line((0, 250, 576, 330), fill=(240, 240, 250), width=14)
    return im.resize((w, h), Image.LANCZOS)


s = scene()
p = lambda n: os.path.join(out, n)
s.save(p("rgb.png"))
s.save(p("baseline.jpg"), quality=90)
s.save(p("progressive.jpg"), quality=90, progressive=True)
s.save(p("444.jpg"), quality=90, subsampling=0)
s.convert("L").save(p("grey.jpg"), quality=90)
s.convert("L").save(p("grey.png"))
s.convert("P", palette=Image.ADAPTIVE, colors=64).save(p("palette.png"))
s.save(p("lossy.webp"), quality=80)
s.save(p("lossless.webp"), lossless=True)
s.quantize(64).save(p("still.gif"))
run = lambda *a: subprocess.run(["/usr/bin/convert", *a], check=True)
run(p("rgb.png"), "-colorspace", "CMYK", "-quality", "92", p("cmyk.jpg"))
run(p("rgb.png"), "-depth", "16", "-define", "png:exclude-chunks=date,time", "PNG48:" + p("rgb16.png"))
run(p("rgb.png"), "-colorspace", "Gray", "-depth", "16", "-define", "png:exclude-chunks=date,time,gAMA", p("grey16.png"))
run(p("rgb.png"), "-interlace", "PNG", "-define", "png:exclude-chunks=date,time", p("interlaced.png"))
run(p("rgb.png"), "-compress", "none", p("known.bmp"))

# Transparency: a hole in the middle; and a picture that is only in its alpha.
a = s.convert("RGBA")
m = Image.new("L", s.size, 255)
ImageDraw.Draw(m).rectangle((50, 30, 100, 70), fill=0)
a.putalpha(m)
a.save(p("hole.png"))
a.save(p("hole.webp"), quality=80)
a.save(p("hole-lossless.webp"), lossless=True)
hidden = Image.new("RGBA", s.size, (0, 0, 0, 0))
hidden.putalpha(s.convert("L").point(lambda v: 255 - v))
hidden.save(p("onlyalpha.png"))

# Animations: the scene, then the scene mirrored, then a small red square on it.
b = s.transpose(Image.FLIP_LEFT_RIGHT)
c = b.copy()
ImageDraw.Draw(c).rectangle((10, 10, 60, 60), fill=(255, 0, 0))
for name, k in (("animated.gif", {}), ("animated.webp", {"quality": 80}), ("animated.png", {})):
    s.save(p(name), save_all=True, append_images=[b, c], duration=100, loop=0, **k)

# Orientation: stored pixels turned, and the tag that undoes it.
INV = {2: Image.FLIP_LEFT_RIGHT, 3: Image.ROTATE_180, 4: Image.FLIP_TOP_BOTTOM, 5: Image.TRANSPOSE,
       6: Image.ROTATE_90, 7: Image.TRANSVERSE, 8: Image.ROTATE_270}
for k, t in INV.items():
    e = Image.Exif()
    e[0x0112] = k
    im = s.transpose(t)
    im.save(p(f"exif{k}.jpg"), quality=90, exif=e.tobytes())
    im.save(p(f"exif{k}.png"), exif=e.tobytes())
    im.save(p(f"exif{k}.webp"), quality=80, exif=e.tobytes())

# XMP in the first APP1 segment, EXIF in the second.
e = Image.Exif()
e[0x0112] = 6
s.transpose(INV[6]).save(p("tmp.jpg"), quality=90, exif=e.tobytes())
d = open(p("tmp.jpg"), "rb").read()
x = b"http://ns.adobe.com/xap/1.0/\0<x:xmpmeta xmlns:x='adobe:ns:meta/'/>"
open(p("xmp-first.jpg"), "wb").write(d[:2] + b"\xff\xe1" + struct.pack(">H", len(x) + 2) + x + d[2:])
os.remove(p("tmp.jpg"))
