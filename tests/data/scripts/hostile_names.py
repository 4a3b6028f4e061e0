"""Names that no chart should have: a megabyte long, and 105,000 of them."""
import os

import trainyard

trainyard.log("x" * 1000000, 1)
trainyard.log("ok", 1)
with open(os.environ["TRAINYARD_STREAM"], "ab") as stream:
    for block in range(21):
        stream.write(b"".join(b'{"kind":"metrics","values":{"n%d":1}}\n' % (block * 5000 + i) for i in range(5000)))
trainyard.log("ok", 2)
trainyard.write("text", {"name": "long", "text": "y" * (9 << 20)})
trainyard.log("ok", 3)
