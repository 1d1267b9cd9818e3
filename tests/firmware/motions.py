#!/usr/bin/env python3
"""Makes motions.bin, the windows of BasicMotions that the firmware trains on, from the archive's files.

usage: tests/firmware/motions.py FOLDER      (FOLDER holds BasicMotions_TRAIN.ts and BasicMotions_TEST.ts)

40 windows to train on, then 40 to test on, each 6 channels x 100 points, as little-endian 16-bit
integers in steps of 1/512. Ten windows of each class follow one another: standing, running,
walking, badminton.
"""

import pathlib
import struct
import sys

folder, here = pathlib.Path(sys.argv[1]), pathlib.Path(__file__).parent
with open(here / "motions.bin", "wb") as out:
    for part in "TRAIN", "TEST":
        text = (folder / f"BasicMotions_{part}.ts").read_text()
        for window in text.split("@data\n")[1].split():
            for channel in window.split(":")[:-1]:
                values = [round(float(value) * 512) for value in channel.split(",")]
                out.write(struct.pack(f"<{len(values)}h", *values))
