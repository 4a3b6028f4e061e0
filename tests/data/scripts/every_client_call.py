"""Calls everything that the Python client has."""
import os
import trainyard

assert trainyard.active() and trainyard.run_id() == os.environ["TRAINYARD_RUN_ID"] and trainyard.rank() == 0
trainyard.params({"lr": 0.1, "layers": [1, 2], "odd": float("nan")})
trainyard.tags({"stage": "test", "number": 3})
trainyard.log("loss", 0.5, step=7)
trainyard.log("loss", float("nan"))
trainyard.log("loss", float("-inf"))
trainyard.log("loss", "0.25")
trainyard.log("count", 3)
trainyard.log("flag", True)
trainyard.log_all({"a": 1, "b": 2.5}, step=2)
trainyard.text("note", "hällo \"you\"\n", step=1)
trainyard.progress("train", 1, 4, "epochs", epoch=1, epochs=4)
trainyard.image("grey", [[0, 128], [255, 64]], step=1)
trainyard.image("colour", [[[1.0, 0.0, 0.5], [0.0, 1.0, 0.0]]], description="two pixels")
trainyard.table("t", ["x", "y"], [[1, "one"], [2.5, None]])
trainyard.histogram("h", [3, 4], [0, 0.5, 1], step=2)
trainyard.confusion_matrix("cm", ["cat", "dog"], [[5, 1], [2, 7]])
with open("made.txt", "w") as file:
    file.write("made")
trainyard.artifact("made.txt", "deep/made.txt")
trainyard.model("net", "deep/made.txt", description="a file")
trainyard.child("c1", "fold-1")
trainyard.warning("test.warning", "careful")
trainyard.conclusion("All calls were made.")
for bad in (lambda: trainyard.histogram("h", [1], [1]), lambda: trainyard.confusion_matrix("c", ["a"], [[1, 2]]),
            lambda: trainyard.artifact("made.txt", "../out"), lambda: trainyard.image("i", b"no picture")):
    try:
        bad()
    except ValueError:
        continue
    raise AssertionError("a wrong value was taken")
assert trainyard.dropped() == 0
