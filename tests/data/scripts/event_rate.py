"""Writes 10,000 metrics a second into a TensorBoard event file: event_rate.py SECONDS [TIMES GO].

100 metrics m0 to m99 an event, 100 events a second. With TIMES and GO it begins when the file GO is there, and leaves in
TIMES when each event was written: one little-endian double a step, seconds since the epoch. Prints the number of events.
"""
import os
import struct
import sys
import time

from tfrecords import framed

NAMES = 100
EVENTS_PER_SECOND = 100
GO_SECONDS = 60


def varint(value):
    out = b""
    while value >= 0x80:
        out += bytes([value & 0x7F | 0x80])
        value >>= 7
    return out + bytes([value])


def block(field, data):
    return varint(field << 3 | 2) + varint(len(data)) + data


def wait_for(path):
    limit = time.time() + GO_SECONDS
    while not os.path.exists(path):
        if time.time() > limit:
            sys.exit("event_rate.py: nobody made " + path)
        time.sleep(0.01)


def main():
    seconds = float(sys.argv[1])
    times = []
    os.makedirs("logs", exist_ok=True)
    with open("logs/events.out.tfevents.1.bench", "ab", buffering=0) as file:
        file.write(framed(struct.pack("<Bd", 9, time.time()) + block(3, b"brain.Event:2")))
        if len(sys.argv) > 3:
            wait_for(sys.argv[3])
        began = time.time()
        while time.time() - began < seconds:
            step = len(times)
            value = b"\x15" + struct.pack("<f", step)
            summary = b"".join(block(1, block(1, b"m%d" % n) + value) for n in range(NAMES))
            times.append(time.time())
            file.write(framed(struct.pack("<Bd", 9, times[-1]) + b"\x10" + varint(step) + block(5, summary)))
            time.sleep(max(0, began + len(times) / EVENTS_PER_SECOND - time.time()))
    if len(sys.argv) > 2:
        with open(sys.argv[2], "wb") as file:
            file.write(struct.pack("<%dd" % len(times), *times))
    print(len(times))


main()
