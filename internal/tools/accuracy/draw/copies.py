"""Kinds of copies of a photograph that were drawn before any result was looked at.

Every kind is a function of an Original and returns a PIL picture.  All chance comes from the name of
the file and of the kind, so the same original gives the same copy.  Kinds in EVADING are what
somebody does who wants to get round a filter; the others are what people do anyway.
"""
import hashlib
import math
import random

import cv2
import numpy as np
from PIL import Image, ImageDraw, ImageEnhance, ImageFilter, ImageFont, ImageOps

cv2.setNumThreads(1)

LATO = "/usr/share/fonts/truetype/lato/Lato-Bold.ttf"
EMOJI = "/usr/share/fonts/truetype/noto/NotoColorEmoji.ttf"
FONTS = (LATO, EMOJI)
KINDS = {}
EVADING = {"shifted_strips", "water", "confetti"}


def kind(f):
    KINDS[f.__name__] = f
    return f


class Original:
    """A picture and the chance of one kind of copy of it."""

    def __init__(self, path, name):
        self.im = Image.open(path).convert("RGB")
        self.im.thumbnail((1280, 1280), Image.LANCZOS)
        self.w, self.h = self.im.size
        stem = path.rsplit("/", 1)[-1]
        digest = hashlib.sha256(f"accuracy/{stem}/{name}".encode()).digest()
        self.rnd = random.Random(digest)
        self.np = np.random.RandomState(int.from_bytes(digest[:4], "big"))

    def between(self, a, b):
        """A number from a to b, of either sign."""
        return self.rnd.uniform(a, b) * self.rnd.choice((-1, 1))


def pixels(im):
    return np.asarray(im.convert("RGB")).astype(np.float32)


def picture(a):
    return Image.fromarray(np.clip(a + 0.5, 0, 255).astype(np.uint8))


def inside(im, w, h):
    im = im.copy()
    im.thumbnail((w, h), Image.LANCZOS)
    return im


def projected(im, size, corners, ground):
    """The picture with its four corners (clockwise from top left) at those places of a ground."""
    w, h = im.size
    m = cv2.getPerspectiveTransform(np.float32([[0, 0], [w, 0], [w, h], [0, h]]), np.float32(corners))
    seen = cv2.warpPerspective(pixels(im), m, size, flags=cv2.INTER_AREA)
    part = cv2.warpPerspective(np.ones((h, w), np.float32), m, size, flags=cv2.INTER_LINEAR)[..., None]
    return ground * (1 - part) + seen * part


def tilted(o, im, size, fill, slant):
    """Corners of the picture in the middle of the size, its sides slanted by up to slant of their length."""
    W, H = size
    k = fill * min(W / im.width, H / im.height)
    w, h = im.width * k / 2, im.height * k / 2
    a, b, turn = o.between(slant / 2, slant), o.between(slant / 2, slant), math.radians(o.between(0.5, 3))
    out = []
    for x, y in ((-w, -h), (w, -h), (w, h), (-w, h)):
        z = 1 + a * x / w / 2 + b * y / h / 2
        x, y = x / z, y / z
        out.append((W / 2 + x * math.cos(turn) - y * math.sin(turn), H / 2 + x * math.sin(turn) + y * math.cos(turn)))
    return out


def grain(o, a, sigma):
    return a + o.np.normal(0, sigma, a.shape).astype(np.float32)


def shade(w, h, angle):
    """A ramp from 0 to 1 along the angle."""
    y, x = np.mgrid[0:h, 0:w].astype(np.float32)
    r = x / w * math.cos(angle) + y / h * math.sin(angle)
    return (r - r.min()) / (r.max() - r.min())


def stamp(im, s, size, x, y, fill="white", stroke=0, anchor="mm"):
    d = ImageDraw.Draw(im)
    d.text((x, y), s, fill, ImageFont.truetype(LATO, max(8, int(size))), anchor, stroke_width=stroke, stroke_fill="black")


def emoji(s, side):
    e = Image.new("RGBA", (136, 136), (0, 0, 0, 0))
    ImageDraw.Draw(e).text((0, 0), s, font=ImageFont.truetype(EMOJI, 109), embedded_color=True)
    return e.crop(e.getbbox()).resize((int(side), int(side)), Image.LANCZOS)


# ---- through a camera --------------------------------------------------------------------------


@kind
def monitor_moire(o):
    """A monitor photographed from the side: its grid of sub-pixels beats with that of the camera."""
    im = inside(o.im, 640, 640)
    a = np.repeat(np.repeat(pixels(im), 3, 0), 3, 1)
    for c in range(3):
        for k in range(3):
            a[:, k::3, c] *= 1.5 if c == k else 0.72
    a[2::3] *= 0.82
    screen = ImageOps.expand(picture(a), 60, (14, 14, 16))
    size = (1100, 825) if im.width >= im.height else (825, 1100)
    ground = np.full((size[1], size[0], 3), 46, np.float32) + 30 * shade(*size, o.rnd.uniform(0, 6))[..., None]
    a = projected(screen, size, tilted(o, screen, size, 0.93, 0.11), ground)
    y, x = np.mgrid[0 : size[1], 0 : size[0]].astype(np.float32)
    glare = np.exp(-(((x - size[0] * o.rnd.uniform(0.2, 0.8)) / 130) ** 2 + ((y - size[1] * 0.3) / 90) ** 2))
    a = cv2.GaussianBlur(a * np.float32([0.93, 1.0, 1.1]) + 70 * glare[..., None], (0, 0), 0.8)
    return picture(grain(o, a, 4)), 80


@kind
def page_shadow(o):
    """On a page of a book, taken with a telephone whose shadow falls on it, whitened by a scanner app."""
    page = Image.new("RGB", (900, 1200), (250, 248, 240))
    im = inside(o.im, 740, 800)
    page.paste(im, ((900 - im.width) // 2, 120))
    d = ImageDraw.Draw(page)
    y = 150 + im.height
    while y < 1140:
        d.line((80, y, 80 + o.rnd.randrange(500, 740), y), fill=(70, 70, 70), width=3)
        y += 20
    a = pixels(page)
    yy, xx = np.mgrid[0:1200, 0:900].astype(np.float32)
    bend = 26 * np.exp(-xx / 150)  # the page rises to the spine
    a = cv2.remap(a, xx + 8 * np.exp(-xx / 90), yy + bend * (yy / 1200 - 0.5), cv2.INTER_LINEAR, borderValue=(60, 55, 50))
    angle = o.rnd.uniform(0, 6)
    edge = 1 / (1 + np.exp(-(shade(900, 1200, angle) - o.rnd.uniform(0.4, 0.7)) * 14))
    a *= (1 - 0.42 * edge - 0.3 * np.exp(-xx / 60))[..., None]
    a = np.clip((a - 12) * 1.12, 0, 255)
    return picture(grain(o, cv2.GaussianBlur(a, (0, 0), 0.8), 3)), 75


@kind
def low_light(o):
    """A print photographed by lamp light: dark, yellow, noisy, a little shaken."""
    im = inside(o.im, 900, 900)
    size = (960, 960)
    a = projected(im, size, tilted(o, im, size, 0.9, 0.06), np.full((960, 960, 3), 34, np.float32))
    a = (a / 255) ** 1.7 * 150 * (0.55 + 0.45 * shade(960, 960, o.rnd.uniform(0, 6)))[..., None]
    shake = np.zeros((9, 9), np.float32)
    cv2.line(shake, (4 - o.rnd.randrange(3), 3), (4 + o.rnd.randrange(3), 5), 1)
    a = cv2.filter2D(a, -1, shake / shake.sum()) * np.float32([1.15, 0.95, 0.6])
    return picture(grain(o, a, 11)), 60


@kind
def on_a_mug(o):
    """Printed on a mug: bent round a cylinder, its sides turned away, a highlight along it."""
    im = inside(o.im, 700, 700)
    w, h = im.size
    W, H = int(w * 0.86), int(h * 1.1)
    y, x = np.mgrid[0:H, 0:W].astype(np.float32)
    t = np.clip((x - W / 2) / (W / 2), -1, 1)
    turn = np.arcsin(t * math.sin(1.0)) / 1.0  # a third of the way round
    u = (turn + 1) / 2 * (w - 1)
    v = y - 0.05 * h - 0.06 * h * (np.sqrt(np.maximum(0, 1 - (t * 0.85) ** 2)) - 1)
    a = cv2.remap(pixels(im), u, v.astype(np.float32), cv2.INTER_LINEAR, borderValue=(236, 234, 230))
    a = a * (0.62 + 0.38 * np.cos(t * 1.1))[..., None] + 46 * np.exp(-(((t + 0.45) / 0.07) ** 2))[..., None]
    out = Image.new("RGB", (W + 240, H + 160), (150, 132, 112))
    out.paste(picture(a), (90, 80))
    ImageDraw.Draw(out).ellipse((W + 70, H // 3, W + 190, H // 3 + H // 2), outline=(226, 224, 220), width=26)
    return picture(grain(o, pixels(out), 3)), 82


# ---- prints ------------------------------------------------------------------------------------


@kind
def folded_torn(o):
    """A print that was folded twice, with a torn corner and a stain, scanned."""
    a = pixels(inside(o.im, 1000, 1000))
    h, w = a.shape[:2]
    y, x = np.mgrid[0:h, 0:w].astype(np.float32)
    fx, fy = w * o.rnd.uniform(0.42, 0.58), h * o.rnd.uniform(0.42, 0.58)
    a *= (1 + 0.09 * np.sign(x - fx) * np.sign(y - fy))[..., None]
    for across in (x - fx - (y - h / 2) * 0.01, y - fy + (x - w / 2) * 0.012):
        a += (95 * np.exp(-((across / 2.2) ** 2)) - 28 * np.exp(-(((across - 6) / 4) ** 2)))[..., None]
    r = np.hypot(x - w * o.rnd.uniform(0.2, 0.8), y - h * o.rnd.uniform(0.2, 0.8)) / (0.13 * min(w, h))
    a *= 1 - (0.25 * np.exp(-(((r - 1) / 0.12) ** 2)) + 0.1 * (r < 1))[..., None] * np.float32([0.5, 0.8, 1.2])
    im = picture(a)
    cx, cy, s = o.rnd.choice((0, w)), o.rnd.choice((0, h)), 0.24 * min(w, h)
    edge = [(cx, cy + (s if cy == 0 else -s))]
    for k in range(1, 9):
        along = k / 9
        px = cx + (s if cx == 0 else -s) * along + o.np.normal(0, 5)
        py = cy + (s if cy == 0 else -s) * (1 - along) + o.np.normal(0, 5)
        edge.append((px, py))
    edge += [(cx + (s if cx == 0 else -s), cy), (cx, cy)]
    ImageDraw.Draw(im).polygon(edge, fill=(244, 243, 240))
    return ImageOps.expand(im, 24, (244, 243, 240)), 82


@kind
def sepia_dust(o):
    """An old print: sepia, faded, dark corners, dust and scratches."""
    a = pixels(o.im)
    g = a @ np.float32([0.3, 0.59, 0.11])
    a = (38 + g * 0.76)[..., None] * np.float32([1.07, 0.93, 0.72])
    y, x = np.mgrid[0 : o.h, 0 : o.w].astype(np.float32)
    r = np.hypot((x - o.w / 2) / (o.w / 2), (y - o.h / 2) / (o.h / 2))
    im = picture(grain(o, a * (1 - 0.55 * np.clip(r - 0.5, 0, 1) ** 1.4)[..., None], 7))
    d = ImageDraw.Draw(im)
    for _ in range(90):
        px, py, s = o.rnd.randrange(o.w), o.rnd.randrange(o.h), o.rnd.choice((1, 1, 2, 3))
        d.ellipse((px - s, py - s, px + s, py + s), fill=o.rnd.choice(((235, 228, 205), (40, 32, 24))))
    for _ in range(5):
        px = o.rnd.randrange(o.w)
        d.line((px, 0, px + o.between(0, 30), o.h), fill=(228, 220, 200), width=1)
    return im, 80


# ---- inside something else ---------------------------------------------------------------------


@kind
def story_emoji(o):
    """An upright story: on a ramp of two colours, a large emoji and a poll over the picture."""
    W, H = 720, 1280
    a, b = (np.float32([o.rnd.randrange(30, 226) for _ in range(3)]) for _ in "ab")
    t = shade(W, H, 1.2)[..., None]
    s = picture(a * t + b * (1 - t))
    im = inside(o.im, 660, 900)
    x, y = (W - im.width) // 2, (H - im.height) // 2
    s.paste(im.rotate(0), (x, y))
    e = emoji(o.rnd.choice("😍🤣🔥🥳💯🙈"), min(im.size) * 0.4)
    s.paste(e, (x + o.rnd.randrange(max(1, im.width - e.width)), y + o.rnd.randrange(max(1, im.height - e.height))), e)
    d = ImageDraw.Draw(s)
    py = y + im.height - 40
    d.rounded_rectangle((W / 2 - 210, py, W / 2 + 210, py + 110), 26, fill="white")
    stamp(s, "YES", 44, W / 2 - 105, py + 55, "#2a9d4a")
    stamp(s, "NO", 44, W / 2 + 105, py + 55, "#c0392b")
    stamp(s, o.rnd.choice(("would you?", "look who", "OMG", "guess where")), 60, W / 2, y - 60 if y > 140 else 70, "white", 3)
    return s, 72


@kind
def reaction_frame(o):
    """A frame of a reaction video: the picture fills it, a webcam and a subtitle are over it."""
    W, H = 1280, 720
    s = ImageOps.fit(o.im, (W, H), Image.LANCZOS, centering=(0.5, o.rnd.uniform(0.3, 0.7)))
    cam = Image.new("RGB", (320, 240), (70, 84, 120))
    d = ImageDraw.Draw(cam)
    d.ellipse((60, 150, 260, 380), fill=(40, 44, 52))
    d.ellipse((105, 45, 215, 185), fill=o.rnd.choice(((224, 172, 138), (141, 85, 54), (246, 214, 190))))
    d.pieslice((95, 25, 225, 140), 180, 360, fill=o.rnd.choice(((40, 26, 13), (160, 110, 50), (20, 20, 20))))
    left = o.rnd.random() < 0.5
    s.paste(ImageOps.expand(cam, 4, "white"), (24 if left else W - 352, H - 300))
    d = ImageDraw.Draw(s)
    d.rectangle((0, H - 18, W, H), fill=(30, 30, 30))
    d.rectangle((0, H - 18, o.rnd.randrange(100, W), H - 12), fill=(230, 20, 20))
    stamp(s, o.rnd.choice(("wait, is that real?", "I can't believe this", "let's look at it again")), 46, W / 2, H - 70, "#ffe94a", 3)
    return inside(s, 960, 540), 55


@kind
def television(o):
    """Recorded from television: stretched to 16:9, interlaced, with a logo and a lower third."""
    W, H = 1024, 576
    s = o.im.resize((W, H), Image.LANCZOS) if o.w / o.h > 1.2 else ImageOps.fit(o.im, (W, H), Image.LANCZOS)
    a = pixels(s)
    a[1::2] = np.roll(a[1::2], 3, 1)
    a = (a - 128) * 1.12 + 128
    s = picture(cv2.GaussianBlur(a, (0, 0), 0.7))
    d = ImageDraw.Draw(s)
    d.rectangle((0, H * 0.8, W, H * 0.93), fill="#0b2f66")
    d.rectangle((0, H * 0.8, W * 0.16, H * 0.93), fill="#c8102e")
    stamp(s, "LIVE", 34, W * 0.08, H * 0.865)
    stamp(s, o.rnd.choice(("OFFICIALS SPEAK", "STORM CONTINUES", "VOTE AT NOON", "NEW FIGURES")), 34, W * 0.2, H * 0.865, anchor="lm")
    stamp(s, "7", 60, W * 0.93, H * 0.1, "white", 2)
    return s, 60


# ---- to get round a filter ---------------------------------------------------------------------


@kind
def shifted_strips(o):
    """Five strips, each moved to the side by 3 to 8 % of the width."""
    s = Image.new("RGB", o.im.size, tuple(o.rnd.randrange(256) for _ in range(3)))
    for k in range(5):
        y0, y1 = o.h * k // 5, o.h * (k + 1) // 5
        s.paste(o.im.crop((0, y0, o.w, y1)), (int(o.between(0.03, 0.08) * o.w), y0))
    return s, 82


@kind
def water(o):
    """Seen through moving water: waves of 1.2 % of the side in both directions."""
    y, x = np.mgrid[0 : o.h, 0 : o.w].astype(np.float32)
    n, p, q = min(o.w, o.h), o.rnd.uniform(0, 6), o.rnd.uniform(0, 6)
    u = x + 0.012 * n * np.sin(y / n * 11 + p)
    v = y + 0.012 * n * np.sin(x / n * 9 + q)
    return picture(cv2.remap(pixels(o.im), u.astype(np.float32), v.astype(np.float32), cv2.INTER_LINEAR, borderMode=cv2.BORDER_REFLECT)), 82


@kind
def confetti(o):
    """Eighty small opaque shapes over a fifth of the picture, other colours, softer."""
    hsv = np.asarray(o.im.convert("HSV")).copy()
    hsv[..., 0] += np.uint8(o.rnd.randrange(40, 200))
    im = Image.fromarray(hsv, "HSV").convert("RGB").filter(ImageFilter.GaussianBlur(1.2))
    d, s = ImageDraw.Draw(im), math.sqrt(0.2 * o.w * o.h / 80)
    for _ in range(80):
        x, y = o.rnd.randrange(o.w), o.rnd.randrange(o.h)
        w, h = s * o.rnd.uniform(0.6, 1.5), s * o.rnd.uniform(0.6, 1.5)
        colour = tuple(o.rnd.randrange(256) for _ in range(3))
        (d.ellipse if o.rnd.random() < 0.5 else d.rectangle)((x - w / 2, y - h / 2, x + w / 2, y + h / 2), fill=colour)
    return ImageEnhance.Contrast(im).enhance(0.85), 80
