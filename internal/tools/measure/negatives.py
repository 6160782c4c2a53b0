#!/usr/bin/python3
"""Pictures that carry the same thing and show something else: what a matcher
of local features is most easily fooled by.

  negatives.py OUT PHOTOS [LIMIT]

writes OUT/<class>/<photo>.jpg, one for each photo (the first LIMIT of them,
spread evenly) and class. Within a class everything is the same but the photo
(or, for pages of text, the words). Deterministic.

Debian: python3-pil fonts-dejavu-core fonts-noto-color-emoji
"""
import hashlib, math, os, random, sys
from PIL import Image, ImageDraw, ImageFont, ImageOps

BOLD = "/usr/share/fonts/truetype/dejavu/DejaVuSans-Bold.ttf"
SANS = "/usr/share/fonts/truetype/dejavu/DejaVuSans.ttf"
SERIF = "/usr/share/fonts/truetype/dejavu/DejaVuSerif.ttf"
EMOJI = "/usr/share/fonts/truetype/noto/NotoColorEmoji.ttf"

def font(path, size): return ImageFont.truetype(path, max(8, int(size)))

WORDS = ("the of and to in a is that for it as was with be by on not he his but at are this have from or had an they "
         "which one you were all her she there would their we him been has when who will no more if out so up said what "
         "its about than into them can only other time new some could these two may first then do any like my now over "
         "such our man me even most made after also did many off before must well back through years much where your way "
         "down should because long each just state those people too mister how little good world make very year still see "
         "work own life being great between high under never same last another while us might come old since against "
         "go came right used take three").split()

def plain(im, r): return im

def logo(im, r):
    im = im.convert("RGBA"); w, h = im.size; s = int(min(w, h) * .14)
    l = Image.new("RGBA", (2 * s, s), (0, 0, 0, 0)); d = ImageDraw.Draw(l)
    d.rounded_rectangle((0, 0, 2 * s - 1, s - 1), s // 4, fill=(20, 60, 200, 255))
    d.ellipse((s * .15, s * .15, s * .85, s * .85), fill=(255, 210, 0, 255)); d.text((s * .95, s / 2), "news7", "white", font(BOLD, s * .33), "lm")
    im.alpha_composite(l, (s // 4, s // 4)); return im.convert("RGB")

def watermark(im, r):
    w, h = im.size; L = int(math.hypot(w, h)); l = Image.new("RGBA", (L, L), (0, 0, 0, 0)); d = ImageDraw.Draw(l); f = font(BOLD, L // 14)
    for k in range(-3, 4): d.text((L / 2 + k * 37, L / 2 + k * L / 5), "PREVIEW ONLY stock", (255, 255, 255, 90), f, "mm")
    l = l.rotate(30, Image.BICUBIC); x, y = (L - w) // 2, (L - h) // 2
    im = im.convert("RGBA"); im.alpha_composite(l.crop((x, y, x + w, y + h))); return im.convert("RGB")

def meme(im, r):
    im = ImageOps.fit(im, (600, 500)); d = ImageDraw.Draw(im); f = font(BOLD, 58)
    for s, y, a in (("ONE DOES NOT SIMPLY", 10, "ma"), ("TAKE IT DOWN", 490, "md")):
        d.text((300, y), s, "white", f if d.textlength(s, f) < 580 else font(BOLD, 46), a, stroke_width=4, stroke_fill="black")
    return im

def memeframe(im, r):
    o = Image.new("RGB", (640, 720), "black"); p = ImageOps.fit(im, (520, 430)); o.paste(p, (60, 60)); d = ImageDraw.Draw(o)
    d.rectangle((54, 54, 585, 495), outline="white", width=3)
    d.text((320, 570), "PERSISTENCE", "white", font(SERIF, 72), "mm"); d.text((320, 650), "it comes back every single time", "white", font(SANS, 26), "mm"); return o

def caption(im, r):
    w, h = im.size; b = int(h * .17); o = Image.new("RGB", (w, h + 2 * b), "white"); o.paste(im, (0, b)); d = ImageDraw.Draw(o)
    for y, s in ((b / 2, "When your neighbour says it is fine"), (h + 1.5 * b, "and then you look out of the window")):
        size = b * .5
        while size > 8 and d.textlength(s, font(BOLD, size)) > w * .94: size -= 1
        d.text((w / 2, y), s, "black", font(BOLD, size), "mm")
    return o

def browser(im, r):
    o = Image.new("RGB", (1000, 760), "#f4f5f7"); d = ImageDraw.Draw(o)
    d.rectangle((0, 0, 1000, 62), fill="#dee1e6"); d.rounded_rectangle((120, 14, 860, 48), 17, fill="white"); d.text((140, 31), "example.org/gallery/view?id=1729&lang=en", "#444", font(SANS, 16), "lm")
    for i, c in enumerate(("#ff5f57", "#febc2e", "#28c840")): d.ellipse((18 + 28 * i, 22, 36 + 28 * i, 40), fill=c)
    d.text((30, 96), "The Daily Picture", "#111", font(SERIF, 40), "lm"); d.text((30, 136), "Home   World   Culture   Science   Sport   Opinion", "#336", font(SANS, 18), "lm")
    o.paste(ImageOps.fit(im, (600, 430)), (30, 170)); q = random.Random(5)
    for i in range(24): d.text((660, 180 + 23 * i), " ".join(q.choice(WORDS) for _ in range(5)), "#333", font(SANS, 16), "lm")
    for i in range(5): d.text((30, 622 + 25 * i), " ".join(q.choice(WORDS) for _ in range(11)), "#333", font(SANS, 17), "lm")
    return o

def phone(im, r):
    o = Image.new("RGB", (540, 1100), "white"); d = ImageDraw.Draw(o); q = random.Random(9)
    d.text((30, 24), "12:47", "black", font(BOLD, 22), "lm"); d.rectangle((470, 14, 510, 34), outline="black", width=2); d.rectangle((474, 18, 500, 30), fill="black")
    for i in range(4): d.rectangle((400 + 10 * i, 34 - 5 * i - 5, 406 + 10 * i, 34), fill="black")
    d.text((270, 76), "Photogram", "black", font(SERIF, 36), "mm"); d.ellipse((20, 120, 76, 176), fill="#c33"); d.ellipse((32, 130, 64, 162), fill="#fc6")
    d.text((92, 138), "someone.somewhere", "black", font(BOLD, 20), "lm"); d.text((92, 164), "Sponsored", "#777", font(SANS, 16), "lm")
    o.paste(ImageOps.fit(im, (540, 540)), (0, 190))
    e = Image.new("RGBA", (136, 136), (0, 0, 0, 0)); ImageDraw.Draw(e).text((0, 0), "👍", font=ImageFont.truetype(EMOJI, 109), embedded_color=True); e = e.resize((48, 48)); o.paste(e, (20, 742), e)
    d.ellipse((90, 748, 126, 784), outline="black", width=4); d.polygon([(160, 750), (200, 766), (160, 784)], outline="black"); d.text((20, 816), "1,204 likes", "black", font(BOLD, 20), "lm")
    for i in range(6): d.text((20, 850 + 28 * i), " ".join(q.choice(WORDS) for _ in range(8)), "#222", font(SANS, 19), "lm")
    d.line((0, 1030, 540, 1030), fill="#ccc", width=2)
    for i in range(5): d.rounded_rectangle((35 + 105 * i, 1048, 75 + 105 * i, 1088), 10, outline="black", width=4)
    return o

def collage(im, r):
    S, g = 400, 6; o = Image.new("RGB", (2 * S + 3 * g,) * 2, "white")
    cells = [Image.open(os.path.join(PHOTOS, n)).convert("RGB") for n in NEIGHBOURS]; cells.insert(2, im)
    for i, m in enumerate(cells): o.paste(ImageOps.fit(m, (S, S)), (g + i % 2 * (S + g), g + i // 2 * (S + g)))
    return o

def sticker(im, r):
    im = ImageOps.fit(im, (640, 480)).convert("RGBA")
    for s, x, y in (("😂", 20, 20), ("🔥", 440, 280)):
        e = Image.new("RGBA", (136, 136), (0, 0, 0, 0)); ImageDraw.Draw(e).text((0, 0), s, font=ImageFont.truetype(EMOJI, 109), embedded_color=True); im.alpha_composite(e.resize((180, 180)), (x, y))
    return im.convert("RGB")

def border(im, r):
    o = Image.new("RGB", (680, 520), "#7a5230"); d = ImageDraw.Draw(o)
    for x in range(0, 680, 20):
        for y in range(0, 520, 20):
            d.ellipse((x + 3, y + 3, x + 16, y + 16), fill="#d9b36c"); d.line((x, y, x + 20, y + 20), fill="#402010", width=2)
    o.paste(ImageOps.fit(im, (600, 440)), (40, 40)); return o

def words(q, n): return " ".join(q.choice(WORDS) for _ in range(n))

def page(im, r):
    o = Image.new("RGB", (720, 940), "white"); d = ImageDraw.Draw(o); f = font(SERIF, 18); y = 60
    while y < 880:
        line = ""
        while True:
            w = r.choice(WORDS)
            if d.textlength(line + " " + w, f) > 600: break
            line = (line + " " + w).strip()
        d.text((60, y), line, "black", f); y += 27 if r.random() > .12 else 44
    return o

def slide(im, r):
    o = Image.new("RGB", (960, 540), "#10306a"); d = ImageDraw.Draw(o); d.rectangle((0, 0, 960, 90), fill="#e0a030"); d.ellipse((860, 15, 920, 75), fill="#10306a"); d.text((30, 45), words(r, 4).title(), "black", font(BOLD, 40), "lm")
    for i in range(6): d.ellipse((50, 142 + 60 * i, 62, 154 + 60 * i), fill="white"); d.text((90, 148 + 60 * i), words(r, 6), "white", font(SANS, 30), "lm")
    d.text((30, 520), "Quarterly report - internal - Example Holding", "#aac", font(SANS, 16), "lm"); return o

def chat(im, r):
    o = Image.new("RGB", (540, 960), "#e5ddd5"); d = ImageDraw.Draw(o); d.rectangle((0, 0, 540, 80), fill="#075e54"); d.ellipse((16, 14, 68, 66), fill="#cde"); d.text((84, 40), "Family group", "white", font(BOLD, 24), "lm"); y = 100
    while y < 900:
        n = r.randrange(1, 4); x = r.choice((16, 120)); d.rounded_rectangle((x, y, x + 400, y + 26 * n + 24), 12, fill="white" if x == 16 else "#dcf8c6")
        for i in range(n): d.text((x + 16, y + 24 + 26 * i), words(r, 5), "black", font(SANS, 19), "lm")
        y += 26 * n + 40
    return o

CLASSES = dict(plain=plain, logo=logo, watermark=watermark, meme=meme, memeframe=memeframe, caption=caption, browser=browser, phone=phone,
               collage=collage, sticker=sticker, border=border, page=page, slide=slide, chat=chat)
PHOTOS, NEIGHBOURS = "", []

def main():
    global PHOTOS
    out, PHOTOS = sys.argv[1], sys.argv[2]
    names = sorted(n for n in os.listdir(PHOTOS) if n.lower().endswith((".jpg", ".jpeg", ".png")))
    NEIGHBOURS.extend(names[i * len(names) // 7] for i in (1, 3, 5)); names = [n for n in names if n not in NEIGHBOURS]
    if len(sys.argv) > 3:
        k = int(sys.argv[3]); names = [names[i * len(names) // k] for i in range(k)]
    for c, f in CLASSES.items():
        os.makedirs(os.path.join(out, c), exist_ok=True)
        for n in names:
            r = random.Random(hashlib.sha256(f"{c}/{n}".encode()).digest())
            f(Image.open(os.path.join(PHOTOS, n)).convert("RGB"), r).save(os.path.join(out, c, os.path.splitext(n)[0] + ".jpg"), quality=85)

main()
