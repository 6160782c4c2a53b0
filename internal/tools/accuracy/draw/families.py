"""Families of different pictures that share a template, drawn before any result was looked at.

Every family is a function of a Sheet and draws one member: the template is fixed, what a person
filled in differs.  No. i of a family is always the same picture.  COPIES are true copies of a member.
Names of people are syllables, all words come from short lists.
"""
import math
import random

import cv2
import numpy as np
from PIL import Image, ImageDraw, ImageEnhance, ImageFilter, ImageFont

cv2.setNumThreads(1)

TTF = "/usr/share/fonts/truetype/"
LATO, LATO_B, LATO_L = (TTF + f"lato/Lato-{n}.ttf" for n in ("Regular", "Bold", "Light"))
LIB, LIB_B = (TTF + f"liberation2/LiberationSans-{n}.ttf" for n in ("Regular", "Bold"))
LIB_M, LIB_S = (TTF + f"liberation2/Liberation{n}-Regular.ttf" for n in ("Mono", "Serif"))
THAI, THAI_B = TTF + "tlwg/Norasi.ttf", TTF + "tlwg/Garuda-Bold.ttf"
ARAB, ARAB_B = ("/usr/share/fonts/opentype/fonts-hosny-amiri/Amiri-" + n + ".ttf" for n in ("Regular", "Bold"))
HAN = TTF + "wqy/wqy-microhei.ttc"
FONTS = (LATO, LATO_B, LATO_L, LIB, LIB_B, LIB_M, LIB_S, THAI, THAI_B, ARAB, ARAB_B, HAN)

EN = (
    "harbour window ticket copper market signal garden winter letter engine orange silver travel kitchen museum bridge "
    "carpet doctor forest island jacket ladder mirror needle office pepper rabbit saddle tunnel valley walnut yellow "
    "anchor basket candle dragon feather guitar hammer insect jungle kettle lantern meadow nickel oyster pencil quarry"
).split()
TH = "น้ำ บ้าน ถนน โรงเรียน ตลาด หนังสือ อาหาร ทำงาน ครอบครัว สวน แม่น้ำ ภูเขา ทะเล เมือง วันนี้ พรุ่งนี้ รถไฟ สีแดง สีเขียว ใหญ่ เล็ก ใหม่ เก่า สุขภาพ".split()
AR = "بيت مدينة كتاب طريق مدرسة سوق ماء شجرة قمر شمس بحر جبل نور صديق عمل وقت باب نافذة حديقة سفر جديد كبير صغير قديم".split()
ZH = "山水天地春夏秋冬東西南北大小中學校園圖書館理工程系統市民公告通知時間地點開放請注意安全活動報名參加本週"

FAMILIES = {}
CACHE = {}


def family(f):
    FAMILIES[f.__name__] = f
    return f


def font(path, size):
    if (path, size) not in CACHE:
        CACHE[path, size] = ImageFont.truetype(path, size)
    return CACHE[path, size]


class Sheet:
    """One member: its number and its chance; fixed is the same chance for all of the family."""

    def __init__(self, name, i):
        self.i, self.rnd, self.fixed = i, random.Random(f"accuracy/{name}/{i}"), random.Random(f"accuracy/{name}")

    def paper(self, w, h, ground="white"):
        self.im, self.w, self.h = Image.new("RGB", (w, h), ground), w, h
        self.d = ImageDraw.Draw(self.im)
        return self.d

    def put(self, x, y, s, size, fill="#111", path=LATO, anchor="la", **kw):
        self.d.text((x, y), str(s), fill, font(path, size), anchor, **kw)

    def words(self, n, of=EN, sep=" "):
        return sep.join(self.rnd.choice(of) for _ in range(n))

    def name(self):
        r = self.rnd
        part = lambda n: "".join(r.choice("bdfgklmnprstvz") + r.choice("aeiou") for _ in range(n)).title()
        return part(r.randrange(2, 4)) + " " + part(r.randrange(2, 4))

    def number(self, digits):
        return "".join(self.rnd.choice("0123456789") for _ in range(digits))

    def money(self, most=2000):
        return f"{self.rnd.uniform(1, most):,.2f}"

    def day(self):
        return f"{self.rnd.randrange(1, 29):02}/{self.rnd.randrange(1, 13):02}/20{self.rnd.randrange(15, 27)}"

    def clock(self):
        return f"{self.rnd.randrange(24):02}:{self.rnd.choice((0, 5, 10, 15, 25, 30, 40, 45, 55)):02}"

    def bars(self, x, y, w, h):
        """A bar code of random bars."""
        end = x + w
        while x < end:
            b = self.rnd.choice((2, 2, 3, 4, 5))
            self.d.rectangle((x, y, min(end, x + b - 1), y + h), fill="black")
            x += b + self.rnd.choice((2, 2, 3, 4, 5))


# ---- papers ------------------------------------------------------------------------------------


@family
def boarding_pass(p):
    d = p.paper(1000, 400, "#eef3f8")
    d.rounded_rectangle((12, 12, 988, 388), 24, fill="white", outline="#aab", width=2)
    d.rectangle((12, 40, 988, 104), fill="#00539b")
    p.put(40, 72, "NORTHWIND AIR", 34, "white", LATO_B, "lm")
    p.put(960, 72, "BOARDING PASS", 26, "white", LATO_B, "rm")
    d.line((720, 110, 720, 380), fill="#aab", width=2)
    a, b = ("".join(p.rnd.choice("ABCDEGHIKLMNOPRSTUVZ") for _ in range(3)) for _ in "ab")
    seat, gate, flight = f"{p.rnd.randrange(1, 40)}{p.rnd.choice('ABCDEF')}", f"{p.rnd.choice('ABC')}{p.rnd.randrange(1, 60)}", "NW" + p.number(4)
    name = p.name().upper()
    for x, label, value in ((40, "PASSENGER", name), (400, "FLIGHT", flight), (560, "DATE", p.day())):
        p.put(x, 124, label, 15, "#667")
        p.put(x, 144, value, 26, path=LATO_B)
    p.put(60, 200, a, 70, "#00539b", LATO_B)
    p.put(300, 200, b, 70, "#00539b", LATO_B)
    d.polygon([(222, 236), (270, 246), (222, 256)], fill="#00539b")
    for x, label, value in ((40, "GATE", gate), (200, "BOARDING", p.clock()), (400, "SEAT", seat), (560, "GROUP", p.rnd.randrange(1, 6))):
        p.put(x, 300, label, 15, "#667")
        p.put(x, 320, value, 34, path=LATO_B)
    for y, value in ((130, name), (180, flight), (215, f"{a} - {b}"), (250, f"Seat {seat}")):
        p.put(740, y, value, 20)
    p.bars(740, 300, 220, 70)
    return p.im


@family
def id_card(p):
    d = p.paper(856, 540, "#dfe9e2")
    for k in range(0, 1400, 9):
        d.line((k, 0, k - 540, 540), fill="#d3e0d8")
    d.rectangle((0, 0, 856, 84), fill="#1d5c3f")
    p.put(30, 42, "RESIDENT CARD", 36, "white", LIB_B, "lm")
    p.put(826, 42, "PERMIS DE SÉJOUR", 22, "#cde6d8", LIB, "rm")
    x0, y0 = 40, 120
    d.rectangle((x0, y0, x0 + 230, y0 + 300), fill="#b9c4cc")
    skin = p.rnd.choice(("#e0ac8a", "#8d5536", "#f3d3bb", "#c68a5e", "#5d3a26"))
    hair = p.rnd.choice(("#22160c", "#5a3a1a", "#a8742f", "#101010", "#8a8a8a"))
    wide = p.rnd.randrange(52, 70)
    d.ellipse((x0 + 20, y0 + 215, x0 + 210, y0 + 420), fill=p.rnd.choice(("#334", "#744", "#474", "#555")))
    d.ellipse((x0 + 115 - wide - 10, y0 + 40, x0 + 125 + wide, y0 + p.rnd.randrange(160, 250)), fill=hair)
    d.ellipse((x0 + 115 - wide, y0 + 60, x0 + 115 + wide, y0 + 225), fill=skin)
    for s in (-1, 1):
        d.ellipse((x0 + 115 + s * 26 - 8, y0 + 125, x0 + 115 + s * 26 + 8, y0 + 137), fill="#222")
    d.arc((x0 + 90, y0 + 160, x0 + 140, y0 + 200), 20, 160, fill="#833", width=4)
    d.rectangle((x0, y0 + 300, x0 + 230, y0 + 420), fill="#dfe9e2")
    for k, (label, value) in enumerate((("Surname", p.name().split()[1].upper()), ("Given name", p.name().split()[0]), ("Born", p.day()),
                                        ("Valid until", p.day()), ("Number", p.rnd.choice("ABCX") + p.number(8)))):
        p.put(310, 112 + k * 66, label, 17, "#4a6a58", LIB)
        p.put(310, 132 + k * 66, value, 29, "#111", LIB_B)
    code = (p.name().upper().replace(" ", "<<") + "<" * 30)[:30]
    p.put(40, 462, "RC<" + code, 26, "#111", LIB_M)
    p.put(40, 496, p.number(10) + "<" + p.number(7) + "F" + p.number(7) + "<<<<2", 26, "#111", LIB_M)
    return p.im


@family
def bank_statement(p):
    d = p.paper(744, 1052)
    d.polygon([(50, 40), (90, 40), (70, 78)], fill="#7a1f5c")
    p.put(104, 44, "Meridian Bank", 28, "#7a1f5c", LIB_B)
    p.put(694, 50, "Account statement", 18, "#444", LIB, "ra")
    p.put(50, 110, p.name(), 16, path=LIB)
    p.put(50, 132, f"{p.rnd.randrange(1, 99)} {p.words(1).title()} Road", 16, path=LIB)
    p.put(450, 110, "IBAN  XX" + p.number(2) + " " + " ".join(p.number(4) for _ in range(4)), 14, path=LIB)
    p.put(450, 132, f"Page 1   {p.day()}", 14, path=LIB)
    d.rectangle((50, 186, 694, 212), fill="#efe3eb")
    for x, s in ((58, "Date"), (150, "Text"), (480, "Debit"), (590, "Credit")):
        p.put(x, 190, s, 15, "#7a1f5c", LIB_B)
    for k in range(p.rnd.randrange(18, 28)):
        y = 222 + k * 27
        p.put(58, y, p.day()[:5], 14, path=LIB)
        p.put(150, y, p.words(p.rnd.randrange(2, 5)).upper()[:34], 14, path=LIB)
        p.put(p.rnd.choice((540, 540, 650)), y, p.money(), 14, path=LIB, anchor="ra")
        d.line((50, y + 22, 694, y + 22), fill="#eee")
    p.put(694, 990, "Balance  " + p.money(20000), 18, path=LIB_B, anchor="ra")
    return p.im


@family
def thai_form(p):
    d = p.paper(800, 1000, "#fffffb")
    p.put(400, 60, "แบบฟอร์มคำขอใบอนุญาต", 36, "#123", THAI_B, "mm")
    p.put(400, 104, "สำนักงานเขต กรุณากรอกข้อมูลให้ครบถ้วน", 22, "#444", THAI, "mm")
    labels = "ชื่อและนามสกุล;วันเกิด;ที่อยู่;โทรศัพท์;อาชีพ;ประเภทคำขอ;เหตุผล;ผู้รับรอง;สถานที่;หมายเหตุ".split(";")
    for k, label in enumerate(labels):
        y = 160 + k * 72
        p.put(60, y, label, 24, "#222", THAI)
        d.line((260, y + 34, 740, y + 34), fill="#888")
        value = p.words(p.rnd.randrange(2, 5), TH, "") if k not in (1, 3) else p.number(10) if k == 3 else p.day()
        p.put(270, y - 4, value, 27, "#1a2a8a", THAI)
    for k in range(4):
        d.rectangle((60 + k * 180, 896, 84 + k * 180, 920), outline="#222", width=2)
        p.put(94 + k * 180, 892, TH[k + 3], 22, path=THAI)
    k = p.rnd.randrange(4)
    d.line((62 + k * 180, 898, 82 + k * 180, 918), fill="#1a2a8a", width=4)
    return p.im


@family
def arabic_certificate(p):
    d = p.paper(1100, 780, "#fbf6e6")
    for k in range(28):
        for y in (18, 726):
            x = 22 + k * 38
            d.polygon([(x, y + 18), (x + 18, y), (x + 36, y + 18), (x + 18, y + 36)], fill="#1f6f54" if k % 2 else "#c9a227")
    d.rectangle((30, 66, 1070, 714), outline="#1f6f54", width=4)
    put = lambda y, s, size, fill, path: p.put(550, y, s, size, fill, path, "mm", direction="rtl")
    put(140, "شهادة تقدير", 72, "#1f6f54", ARAB_B)
    put(235, "تشهد إدارة المعهد بأن", 36, "#444", ARAB)
    put(330, p.words(3, AR), 60, "#8a1538", ARAB_B)
    put(430, "قد أتم بنجاح دورة " + p.words(2, AR), 38, "#333", ARAB)
    put(500, f"بتاريخ {p.day()}", 34, "#333", ARAB)
    d.ellipse((490, 560, 610, 680), outline="#8a1538", width=6)
    put(620, "ختم", 40, "#8a1538", ARAB_B)
    d.line((120, 650, 380, 650), fill="#333", width=2)
    d.line((720, 650, 980, 650), fill="#333", width=2)
    p.put(250, 676, "المدير", 28, "#333", ARAB, "mm", direction="rtl")
    p.put(850, 676, "المدرب", 28, "#333", ARAB, "mm", direction="rtl")
    return p.im


@family
def chinese_notice(p):
    d = p.paper(800, 1100, "#fdfdf8")
    p.put(400, 110, "公　告", 72, "#b01116", HAN, "mm")
    d.line((80, 170, 720, 170), fill="#b01116", width=4)
    y = 210
    for _ in range(p.rnd.randrange(9, 13)):
        s = "".join(p.rnd.choice(ZH) for _ in range(p.rnd.randrange(9, 19)))
        p.put(90, y, s, 34, "#111", HAN)
        y += 52
    p.put(700, 940, "市民圖書館", 34, "#111", HAN, "rm")
    p.put(700, 990, f"20{p.rnd.randrange(15, 27)}年{p.rnd.randrange(1, 13)}月{p.rnd.randrange(1, 29)}日", 34, "#111", HAN, "rm")
    d.ellipse((540, 880, 680, 1020), outline="#d8343a", width=7)
    p.put(610, 950, "★", 54, "#d8343a", HAN, "mm")
    return p.im


@family
def medical_report(p):
    d = p.paper(744, 1052)
    d.rectangle((0, 0, 744, 16), fill="#0a7d8c")
    d.rectangle((50, 44, 62, 84), fill="#d0342c")
    d.rectangle((36, 58, 76, 70), fill="#d0342c")
    p.put(92, 46, "City Laboratory", 28, "#0a7d8c", LATO_B)
    p.put(694, 52, "Blood count and chemistry", 17, "#444", LATO, "ra")
    for k, (label, value) in enumerate((("Patient", p.name()), ("Born", p.day()), ("Sample", p.number(9)), ("Taken", p.day() + " " + p.clock()))):
        p.put(50 + k % 2 * 340, 112 + k // 2 * 26, f"{label}: {value}", 16)
    names = "Haemoglobin Haematocrit Erythrocytes Leukocytes Platelets Glucose Creatinine Urea Sodium Potassium Calcium Bilirubin ALT AST Cholesterol HDL LDL Triglycerides Iron Ferritin CRP TSH".split()
    for k, n in enumerate(names):
        y = 196 + k * 34
        if k % 2:
            d.rectangle((50, y - 4, 694, y + 27), fill="#f0f7f8")
        low = p.fixed.randrange(2, 90)
        v = low * p.rnd.uniform(0.8, 1.8)
        p.put(60, y, n, 17)
        p.put(330, y, f"{v:.1f}", 17, "#111" if low <= v <= 1.5 * low else "#c0392b", LATO_B, "ra")
        p.put(420, y, f"{low} - {1.5 * low:.0f}", 16, "#666")
        d.line((560, y + 12, 684, y + 12), fill="#aaa", width=2)
        x = 560 + min(124, max(0, (v / low - 0.8) * 124))
        d.ellipse((x - 5, y + 7, x + 5, y + 17), fill="#0a7d8c")
    p.put(694, 1000, "Released by " + p.name(), 15, "#444", LATO, "ra")
    return p.im


@family
def price_list(p):
    d = p.paper(700, 1000, "#22302b")
    d.rectangle((24, 24, 676, 976), outline="#d9b26f", width=3)
    p.put(350, 92, "Café Lindenhof", 56, "#d9b26f", LIB_S, "mm")
    y = 160
    for section in ("Breakfast", "Soups", "Dishes", "Desserts", "Drinks"):
        p.put(350, y + 14, section, 30, "#d9b26f", LIB_S, "mm")
        y += 44
        for _ in range(3 if section != "Dishes" else 5):
            p.put(60, y, p.words(p.rnd.randrange(1, 4)).capitalize(), 24, "#f2eee4", LIB_S)
            p.put(640, y, f"{p.rnd.uniform(2, 29):.2f}", 24, "#f2eee4", LIB_S, "ra")
            y += 34
        y += 14
    return p.im


@family
def shipping_label(p):
    d = p.paper(600, 900)
    d.rectangle((6, 6, 594, 894), outline="black", width=4)
    d.rectangle((6, 6, 160, 150), fill="black")
    p.put(83, 80, p.rnd.choice("PEX"), 120, "white", LIB_B, "mm")
    p.put(180, 30, "PARCEL EXPRESS", 40, path=LIB_B)
    p.put(180, 84, f"{p.rnd.uniform(0.2, 30):.1f} kg   {p.rnd.randrange(1, 4)} of 3", 26, path=LIB)
    d.line((6, 150, 594, 150), fill="black", width=4)
    p.put(24, 166, "FROM  " + p.name() + f", {p.number(5)} " + p.words(1).title(), 18, path=LIB)
    p.put(24, 214, "TO", 24, path=LIB_B)
    for k, s in enumerate((p.name(), f"{p.words(1).title()} Street {p.rnd.randrange(1, 200)}", p.number(5) + " " + p.words(1).upper())):
        p.put(90, 210 + k * 46, s, 38, path=LIB_B)
    d.line((6, 370, 594, 370), fill="black", width=4)
    p.put(300, 430, f"{p.rnd.choice('ABCDEFGH')}{p.number(2)}-{p.number(3)}", 84, path=LIB_B, anchor="mm")
    d.line((6, 490, 594, 490), fill="black", width=4)
    p.bars(60, 520, 480, 250)
    p.put(300, 810, " ".join(p.number(4) for _ in range(5)), 34, path=LIB_M, anchor="mm")
    return p.im


# ---- boards ------------------------------------------------------------------------------------


@family
def crossword(p):
    d, n, s = p.paper(760, 760), 15, 48
    k = 1
    black = {(x, y) for x in range(n) for y in range(n) if p.rnd.random() < 0.17}
    for y in range(n):
        for x in range(n):
            x0, y0 = 20 + x * s, 20 + y * s
            dark = (x, y) in black or (n - 1 - x, n - 1 - y) in black
            d.rectangle((x0, y0, x0 + s, y0 + s), fill="black" if dark else "white", outline="black")
            if not dark and p.rnd.random() < 0.28:
                p.put(x0 + 3, y0 + 1, k, 13, path=LIB)
                k += 1
    return p.im


@family
def bingo_card(p):
    d = p.paper(600, 720, "#fff8e1")
    for k, c in enumerate("BINGO"):
        d.ellipse((24 + k * 112, 16, 124 + k * 112, 116), fill=("#e53935", "#fb8c00", "#43a047", "#1e88e5", "#8e24aa")[k])
        p.put(74 + k * 112, 64, c, 64, "white", LATO_B, "mm")
        numbers = p.rnd.sample(range(k * 15 + 1, k * 15 + 16), 5)
        for y, v in enumerate(numbers):
            d.rectangle((20 + k * 112, 130 + y * 114, 132 + k * 112, 244 + y * 114), outline="#333", width=3)
            p.put(76 + k * 112, 187 + y * 114, "FREE" if k == y == 2 else v, 28 if k == y == 2 else 56, path=LATO_B, anchor="mm")
    return p.im


@family
def seating_plan(p):
    d = p.paper(900, 760, "#f7f7f7")
    d.rounded_rectangle((200, 30, 700, 74), 12, fill="#444")
    p.put(450, 52, "STAGE", 26, "white", LATO_B, "mm")
    for r in range(14):
        p.put(30, 112 + r * 44, "ABCDEFGHIKLMNO"[r], 18, "#444", LATO_B)
        for c in range(22):
            if abs(c - 10.5) + r * 0.25 > 11.8 - (r > 2):
                continue
            x = 70 + c * 35 + (14 if c > 10 else 0)
            colour = "#cfd3d8" if p.rnd.random() < 0.45 else ("#2e9e5b", "#f0a500", "#c0392b")[min(2, r // 5)]
            d.rounded_rectangle((x, 106 + r * 44, x + 27, 138 + r * 44), 6, fill=colour)
    return p.im


@family
def time_table(p):
    d = p.paper(960, 720)
    p.put(30, 24, f"Timetable, class {p.rnd.randrange(5, 13)}{p.rnd.choice('abcd')}", 30, path=LATO_B)
    for k, day in enumerate("Monday Tuesday Wednesday Thursday Friday".split()):
        d.rectangle((100 + k * 170, 76, 268 + k * 170, 112), fill="#37474f")
        p.put(184 + k * 170, 94, day, 20, "white", LATO_B, "mm")
    subjects = "Maths Physics English French History Music Sports Biology Art Chemistry Latin Geography".split()
    tints = "#ffcdd2 #c8e6c9 #bbdefb #fff9c4 #d1c4e9 #ffe0b2 #b2dfdb #f8bbd0 #dcedc8 #cfd8dc #e1bee7 #b3e5fc".split()
    for r in range(8):
        p.put(20, 128 + r * 72, f"{8 + r}:00", 20, "#555")
        for k in range(5):
            d.rectangle((100 + k * 170, 116 + r * 72, 268 + k * 170, 184 + r * 72), outline="#bbb")
            if p.rnd.random() < 0.8:
                s = p.rnd.randrange(12)
                d.rectangle((103 + k * 170, 119 + r * 72, 265 + k * 170, 181 + r * 72), fill=tints[s])
                p.put(184 + k * 170, 140 + r * 72, subjects[s], 20, path=LATO_B, anchor="mm")
                p.put(184 + k * 170, 164 + r * 72, f"room {p.rnd.randrange(100, 400)}", 15, "#555", anchor="mm")
    return p.im


@family
def bar_dashboard(p):
    d = p.paper(1100, 700, "#f4f6fa")
    d.rectangle((0, 0, 1100, 56), fill="#273c75")
    p.put(24, 28, "Sales dashboard", 26, "white", LATO_B, "lm")
    for k, label in enumerate(("Revenue", "Orders", "Customers", "Returns")):
        x = 24 + k * 266
        d.rounded_rectangle((x, 76, x + 250, 176), 10, fill="white")
        p.put(x + 16, 88, label, 18, "#667")
        p.put(x + 16, 116, p.rnd.randrange(100, 99999), 40, "#273c75", LATO_B)
    d.rounded_rectangle((24, 196, 1072, 676), 10, fill="white")
    for k in range(6):
        d.line((80, 630 - k * 80, 1050, 630 - k * 80), fill="#e3e6ee")
    for k in range(12):
        x = 96 + k * 80
        for j, colour in enumerate(("#4cd137", "#487eb0")):
            h = p.rnd.randrange(30, 400)
            d.rectangle((x + j * 28, 630 - h, x + j * 28 + 24, 630), fill=colour)
        p.put(x + 26, 652, "JFMAMJJASOND"[k], 18, "#667", anchor="mm")
    return p.im


# ---- screens -----------------------------------------------------------------------------------


@family
def scoreboard(p):
    d = p.paper(960, 540, "#2f7d32")
    for k in range(12):
        d.rectangle((k * 80, 60, k * 80 + 40, 540), fill="#2a7330")
    d.ellipse((380, 210, 580, 410), outline="#dfe", width=4)
    d.line((480, 60, 480, 540), fill="#dfe", width=4)
    for _ in range(22):
        x, y = p.rnd.randrange(30, 930), p.rnd.randrange(90, 520)
        colour = p.rnd.choice(("#d32f2f", "#fafafa"))
        d.ellipse((x - 9, y - 9, x + 9, y + 9), fill=colour)
        d.rectangle((x - 6, y + 9, x + 6, y + 24), fill=colour)
    d.rectangle((0, 0, 960, 60), fill="#10182b")
    teams = ["".join(p.rnd.choice("ABCDEFGHKLMNPRSTUVW") for _ in range(3)) for _ in "ab"]
    d.rectangle((30, 10, 330, 50), fill="#26344f")
    p.put(50, 30, teams[0], 30, "white", LATO_B, "lm")
    p.put(310, 30, teams[1], 30, "white", LATO_B, "rm")
    d.rectangle((130, 10, 230, 50), fill="#e8b923")
    p.put(180, 30, f"{p.rnd.randrange(6)} - {p.rnd.randrange(6)}", 32, "#111", LATO_B, "mm")
    p.put(360, 30, f"{p.rnd.randrange(90):02}:{p.rnd.randrange(60):02}", 30, "white", LATO_B, "lm")
    p.put(930, 30, "SPORT ONE", 24, "#e8b923", LATO_B, "rm")
    return p.im


@family
def mail_app(p):
    d = p.paper(1000, 640)
    d.rectangle((0, 0, 1000, 60), fill="#f1f3f4")
    p.put(24, 30, "Mail", 30, "#d93025", LATO_B, "lm")
    d.rounded_rectangle((200, 12, 760, 48), 18, fill="white", outline="#ddd")
    p.put(224, 30, "Search mail", 18, "#888", anchor="lm")
    d.rounded_rectangle((16, 76, 170, 124), 24, fill="#c2e7ff")
    p.put(93, 100, "Compose", 20, "#001d35", LATO_B, "mm")
    for k, s in enumerate("Inbox Starred Snoozed Sent Drafts Spam Bin".split()):
        if k == 0:
            d.rounded_rectangle((8, 138, 176, 172), 16, fill="#d3e3fd")
        p.put(30, 144 + k * 38, s, 19, path=LATO_B if k == 0 else LATO)
    for k in range(15):
        y = 72 + k * 37
        fresh = p.rnd.random() < 0.35
        if not fresh:
            d.rectangle((190, y, 1000, y + 36), fill="#f2f6fc")
        path = LATO_B if fresh else LATO
        p.put(236, y + 8, p.name(), 17, path=path)
        p.put(410, y + 8, (p.words(2).capitalize() + " - " + p.words(7))[:60], 17, path=path)
        p.put(984, y + 8, p.clock(), 16, "#555", path, "ra")
        d.rectangle((202, y + 11, 216, y + 25), outline="#999", width=2)
        d.line((190, y + 36, 1000, y + 36), fill="#eceff1")
    return p.im


@family
def map_app(p):
    d = p.paper(540, 960, "#e9e5dc")
    for _ in range(5):
        x, y, r = p.rnd.randrange(540), p.rnd.randrange(960), p.rnd.randrange(50, 140)
        d.ellipse((x - r, y - r * 0.7, x + r, y + r * 0.7), fill=p.rnd.choice(("#c8e6b8", "#c8e6b8", "#a9d3ee")))
    for width, colour, n in ((8, "white", 26), (14, "#ffe9a8", 5)):
        for _ in range(n):
            x, y, a = p.rnd.randrange(540), p.rnd.randrange(960), p.rnd.uniform(0, math.pi)
            d.line((x - 1100 * math.cos(a), y - 1100 * math.sin(a), x + 1100 * math.cos(a), y + 1100 * math.sin(a)), fill=colour, width=width)
    for _ in range(16):
        p.put(p.rnd.randrange(40, 460), p.rnd.randrange(120, 760), p.words(1).title(), 17, "#555", LATO_B, "mm")
    x, y = p.rnd.randrange(120, 420), p.rnd.randrange(240, 640)
    d.polygon([(x, y), (x - 17, y - 34), (x + 17, y - 34)], fill="#ea4335")
    d.ellipse((x - 19, y - 60, x + 19, y - 22), fill="#ea4335")
    d.rounded_rectangle((20, 30, 520, 86), 28, fill="white", outline="#ddd")
    d.ellipse((40, 46, 62, 68), outline="#4285f4", width=4)
    p.put(80, 58, p.words(2).title(), 22, "#333", anchor="lm")
    d.rectangle((0, 790, 540, 960), fill="white")
    p.put(28, 812, p.words(2).title(), 28, path=LATO_B)
    p.put(28, 850, f"{p.rnd.uniform(3, 5):.1f} · {p.rnd.randrange(3, 60)} min", 20, "#666")
    for k, s in enumerate(("Directions", "Start", "Save")):
        d.rounded_rectangle((24 + k * 170, 892, 180 + k * 170, 938), 22, fill="#1a73e8" if k == 0 else "#e8f0fe")
        p.put(102 + k * 170, 915, s, 20, "white" if k == 0 else "#1a73e8", LATO_B, "mm")
    return p.im


# ---- true copies -------------------------------------------------------------------------------


def photographed(im, rnd):
    """Photographed from a little aside, in uneven light."""
    w, h = im.size
    a = np.asarray(im).astype(np.float32)
    dx, dy = rnd.uniform(0.01, 0.03) * w, rnd.uniform(0.01, 0.03) * h
    m = cv2.getPerspectiveTransform(np.float32([[0, 0], [w, 0], [w, h], [0, h]]), np.float32([[dx, dy], [w - dx, 0], [w, h], [0, h - dy]]))
    a = cv2.warpPerspective(a, m, (w, h), flags=cv2.INTER_LINEAR, borderValue=(96, 88, 80))
    ramp = np.linspace(0.78, 1.02, w, dtype=np.float32)[None, :, None]
    a = cv2.GaussianBlur(a * ramp * np.float32([1.03, 1.0, 0.92]), (0, 0), 0.8)
    noise = np.random.RandomState(rnd.randrange(1 << 30)).normal(0, 4, a.shape)
    return Image.fromarray(np.clip(a + noise, 0, 255).astype(np.uint8))


COPIES = {
    "doc_jpeg_q35": (35, lambda im, rnd: im),
    "doc_half_size": (80, lambda im, rnd: im.resize((im.width // 2, im.height // 2), Image.LANCZOS)),
    "doc_crop_4": (80, lambda im, rnd: im.crop((im.width // 50, im.height // 50, im.width - im.width // 50, im.height - im.height // 50))),
    "doc_turned_1": (80, lambda im, rnd: im.rotate(rnd.choice((-1, 1)), Image.BICUBIC, fillcolor="white")),
    "doc_grey_soft": (75, lambda im, rnd: ImageEnhance.Brightness(im.convert("L").filter(ImageFilter.GaussianBlur(0.8))).enhance(0.93)),
    "doc_photo": (78, photographed),
}
