"""Draws 300 PNG files, 100 each of circles, crosses and squares, into folders by class: draw_pngs.py FOLDER

Needs nothing but Python."""
import pathlib
import random
import struct
import sys
import zlib

SIZE = 24


def inside(kind, row, column, radius):
    if kind == "circle":
        return abs((row * row + column * column) ** 0.5 - radius) < 1.5
    if kind == "cross":
        return abs(row) < 1.5 and abs(column) < radius or abs(column) < 1.5 and abs(row) < radius
    return abs(max(abs(row), abs(column)) - radius) < 1.5


def chunk(name, data):
    return struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data))


random.seed(1)
for kind in "circle", "cross", "square":
    folder = pathlib.Path(sys.argv[1]) / kind
    folder.mkdir(parents=True, exist_ok=True)
    for number in range(100):
        radius, x, y = random.uniform(5, 9), random.uniform(9, 14), random.uniform(9, 14)
        rows = bytearray()
        for row in range(SIZE):
            rows.append(0)
            for column in range(SIZE):
                light = 200 if inside(kind, row - y, column - x, radius) else 40
                rows.append(max(0, min(255, round(light + random.gauss(0, 25)))))
        head = struct.pack(">IIBBBBB", SIZE, SIZE, 8, 0, 0, 0, 0)
        png = b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", head) + chunk(b"IDAT", zlib.compress(bytes(rows))) + chunk(b"IEND", b"")
        (folder / f"{number:03}.png").write_bytes(png)
