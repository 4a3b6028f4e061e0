"""Names that no chart should have: a megabyte long, and ten million of them."""
import os

import trainyard

trainyard.log("x" * 1000000, 1)
trainyard.log("ok", 1)
with open(os.environ["TRAINYARD_STREAM"], "ab") as stream:
    for block in range(21):
        stream.write(b"".join(b'{"kind":"metrics","values":{"n%d":1}}\n' % (block * 5000 + i) for i in range(5000)))
    # The rest of the ten million, many to a line: each line is refused as a whole.
    rest = b'{"kind":"metrics","values":{' + b",".join(b'"b%07d":1' % i for i in range(50000)) + b"}}\n"
    for block in range(198):
        stream.write(rest.replace(b'"b0', b'"%c%c' % (97 + block // 26, 97 + block % 26)))
trainyard.log("ok", 2)
trainyard.write("text", {"name": "long", "text": "y" * (9 << 20)})
trainyard.log("ok", 3)
