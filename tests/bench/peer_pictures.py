"""Pictures for benchmarks: FOLDER TRAIN VAL. JPEG files of two classes, 400–500 × 320–440 pixels, qualities 80 to 92.

Skies, grounds, textures and birds of drawn blobs, all by chance: files of 30–60 KB, as a camera's small ones are. The classes differ
in the birds' build alone.
"""
import os
import random
import sys

from PIL import Image, ImageDraw, ImageFilter


def picture(chance, slim):
    width, height = chance.randint(400, 500), chance.randint(320, 440)
    noise = [Image.effect_noise((width // 4, height // 4), chance.uniform(30, 90)).resize((width, height), Image.BICUBIC) for _ in range(3)]
    texture = Image.merge("RGB", noise).filter(ImageFilter.GaussianBlur(chance.uniform(0.5, 2)))
    top, bottom = (tuple(chance.randint(0, 255) for _ in range(3)) for _ in range(2))
    slope = Image.linear_gradient("L").resize((width, height))
    image = Image.composite(Image.new("RGB", (width, height), bottom), Image.new("RGB", (width, height), top), slope)
    image = Image.blend(image, texture, chance.uniform(0.2, 0.5))
    draw = ImageDraw.Draw(image)
    x, y, long = chance.randint(width // 4, 3 * width // 4), chance.randint(height // 4, 3 * height // 4), chance.randint(60, 150)
    high = long * (0.3 if slim else 0.8)
    colour = tuple(chance.randint(0, 255) for _ in range(3))
    draw.ellipse((x - long, y - high, x + long, y + high), fill=colour)
    draw.ellipse((x + long * 0.6, y - high * 1.5, x + long * 1.2, y - high * 0.3), fill=tuple(value // 2 for value in colour))
    for leg in (-0.2, 0.2):
        draw.line((x + leg * long, y + high * 0.8, x + leg * long, y + high * 1.8), fill=(90, 60, 20), width=5)
    grain = Image.effect_noise((width, height), 25).convert("RGB")
    return Image.blend(image, grain, 0.08)


def main():
    root, counts = sys.argv[1], {"train": int(sys.argv[2]), "val": int(sys.argv[3])}
    chance = random.Random(1)
    for part, count in counts.items():
        for i in range(count):
            folder = os.path.join(root, part, ("hen", "heron")[i % 2])
            os.makedirs(folder, exist_ok=True)
            picture(chance, i % 2 == 1).save(os.path.join(folder, f"{i:05}.jpg"), quality=chance.randint(80, 92))


main()
