"""Reports one of everything that a run's page can show, and what it must say is wrong."""
import os
import trainyard

def picture(step, side=48):
    return [[[(x * 5) % 256, (y * 5) % 256, (40 * step) % 256] for x in range(side)] for y in range(side)]

for step in range(5):
    trainyard.log("loss", 1.0 / (step + 1), step=step)
    trainyard.image("val/samples", picture(step), step=step, description="What the model saw")
    counts = [max(0, 40 - abs(bin - 6 - 2 * step) * (6 - step)) for bin in range(24)]
    trainyard.histogram("weights/head", counts, [bin / 8 - 1.5 for bin in range(25)], step=step)
    trainyard.table("rows", ["step", "note"], [[step, "row %d" % step]], append=True)
    right = 70 + 6 * step
    trainyard.table("val/confusion", ["cat", "dog", "ümlaut <b>"],
                    [[right, 100 - right, 0], [3, 180, 17], [0, 0, 0]], step=step, type="confusion_matrix",
                    samples=[{"row": 0, "column": 1, "path": "cats/1.png", "probability": 0.93},
                             {"row": 0, "column": 1, "path": "cats/2.png"},
                             {"row": 1, "column": 2, "path": "nowhere.jpg", "probability": 0.5},
                             {"row": 7, "column": 1, "path": "no such class"}])
trainyard.table("per class", ["class", "precision", "recall", "support"],
                [["cat", 0.97, 0.943, 100], ["dog", 0.1, None, 9], ["a very long name of a class, \"quoted\"", 0.123456789, 1, 200], ["", "NaN", 0.5, 10]],
                description="At the end of the last epoch")
trainyard.table("big classes", ["class %d" % i for i in range(120)],
                [[90 if i == j else (i + j) % 3 for j in range(120)] for i in range(120)], type="confusion_matrix")
trainyard.table("lopsided", ["a", "b"], [[1, 2]], type="confusion_matrix")
trainyard.text("summary", "the first line\nthe second line with <b>no markup</b>", step=4)
trainyard.write("image", {"name": "damaged", "mime": "image/png", "data": "bm8gcGljdHVyZQ=="})
trainyard.write("image", {"name": "outside", "path": "../../secret.png"})
trainyard.write("histogram", {"name": "broken", "counts": [1, 2], "edges": [0]})
trainyard.histogram("a name that is longer than any list is wide, with/slashes/and/more/of/them/until/it/ends/for/good", [1], [0, 1])
folder = os.path.join(trainyard.outputs(), "cats")
os.makedirs(folder)
for name in ("1.png", "2.png"):
    with open(os.path.join(folder, name), "wb") as file:
        file.write(trainyard._png(picture(3, 16)))
os.makedirs("logs")
for name, count in (("train.txt", 30), ("eval.txt", 3)):
    with open(os.path.join("logs", name), "w") as file:
        for i in range(count):
            file.write("%s line %d\n" % (name, i))
print("plain \x1b[31mred\x1b[0m then \x1b[1;94mbold bright blue\x1b[0m and 10%\r\x1b[32mgreen at last\x1b[0m")
print("\x1b[33myellow warning\x1b[0m: \x1b[30mblack\x1b[97mwhite\x1b[0m")
