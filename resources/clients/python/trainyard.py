"""Reports what a training script does to Trainyard: metrics, parameters, tags, text, images, tables, histograms, files,
progress. One file, no dependencies, Python 3.6 and later.

    import trainyard
    trainyard.log("loss", 0.25, step=100)
    trainyard.log_all({"loss": 0.25, "accuracy": 0.9}, step=100)

Every call is one line of JSON, written by one write(2) to the file named in TRAINYARD_STREAM, so threads, processes and
forks may call at once. A call never raises because of the disk: the line is dropped and counted (`dropped()`). Outside
Trainyard, where the variable is not set, every call does nothing.

The format of the lines: resources/docs/protocol/client.md.
"""
import atexit
import base64
import json
import math
import os
import shutil
import struct
import sys
import time
import zlib

__all__ = [
    "active", "artifact", "child", "confusion_matrix", "conclusion", "dropped", "failure", "histogram", "image", "log",
    "log_all", "model", "outputs", "params", "progress", "rank", "run_id", "table", "tags", "text", "warning",
]

MAX_LINE = 8 << 20          # What the agent takes in one line.
MAX_INLINE_IMAGE = 4 << 20  # Larger images become files of the outputs.
_MAX_NAMES = 4096           # Metric names whose escaped form is kept.

_path = os.environ.get("TRAINYARD_STREAM", "")
_fd = -1
_dropped = 0
_line_open = False          # The last write failed within a line.
_names = {}
_write = os.write
_now = time.time_ns if hasattr(time, "time_ns") else (lambda: int(time.time() * 1e9))

if _path:
    try:
        _fd = os.open(_path, os.O_WRONLY | os.O_APPEND | os.O_CREAT | getattr(os, "O_CLOEXEC", 0), 0o600)
    except OSError as _error:
        sys.stderr.write("trainyard: %s cannot be opened (%s); nothing is reported.\n" % (_path, _error))


def active():
    """True inside a run of Trainyard."""
    return _fd >= 0


def dropped():
    """How many lines could not be written so far (a full disk, a line that is too long)."""
    return _dropped


def run_id():
    """The run's id, or an empty string outside Trainyard."""
    return os.environ.get("TRAINYARD_RUN_ID", "")


def rank():
    """This process's global rank; 0 when nobody says."""
    try:
        return int(os.environ.get("RANK", "0"))
    except ValueError:
        return 0


def outputs():
    """The folder whose files are kept with the run; ./outputs outside Trainyard."""
    return os.environ.get("TRAINYARD_OUTPUTS") or os.path.abspath("outputs")


def _put(line):
    """Writes one line (bytes that end with a newline)."""
    global _dropped, _line_open
    if _line_open:  # A line that a full disk tore is ended first, so that this one stays whole.
        line = b"\n" + line
        _line_open = False
    try:
        put = _write(_fd, line)
    except OSError:
        _dropped += 1
        return
    if put != len(line):
        _dropped += 1
        _line_open = True


def _clean(value):
    """What JSON can spell: numbers that it cannot become texts, arrays lists, other things their text."""
    if value is None or isinstance(value, (bool, str, int)):
        return value
    if isinstance(value, float):
        return value if math.isfinite(value) else _spelled(value)
    if isinstance(value, bytes):
        return value.decode("utf-8", "replace")
    if isinstance(value, dict):
        return {str(key): _clean(entry) for key, entry in value.items()}
    if isinstance(value, (list, tuple, set, frozenset, range)):
        return [_clean(entry) for entry in value]
    if hasattr(value, "tolist"):  # numpy, torch
        return _clean(value.tolist())
    if hasattr(value, "item"):
        return _clean(value.item())
    try:
        return _clean(float(value))
    except (TypeError, ValueError):
        return str(value)


def _spelled(value):
    return "NaN" if value != value else "Infinity" if value > 0 else "-Infinity"


def write(kind, body):
    """Any kind of line. `body`: its members."""
    global _dropped
    if _fd < 0:
        return
    line = {"kind": kind}
    line.update(_clean(body))
    line["kind"] = kind
    line.setdefault("t", _now() // 1000)
    raw = json.dumps(line, ensure_ascii=True, separators=(",", ":"), allow_nan=False).encode("ascii") + b"\n"
    if len(raw) > MAX_LINE:
        _dropped += 1
        _put(json.dumps({"kind": "warning", "code": "client.long",
                         "message": "A record of kind %s has %d bytes; %d is the most." % (kind, len(raw), MAX_LINE)}).encode() + b"\n")
        return
    _put(raw)


def _name(name):
    """The beginning of a metric's line up to its value, escaped once for each name."""
    name = str(name)
    start = '{"kind":"metric","name":%s,"value":' % json.dumps(name)
    if len(_names) < _MAX_NAMES and len(name) < 1024:
        _names[name] = start
    return start


def log(name, value, step=None):
    """One number. Without a step it gets the next one of its name."""
    if _fd < 0:
        return
    start = _names.get(name) or _name(name)
    kind = type(value)
    if kind is float or kind is int:
        text = repr(value)
        if value - value != 0:  # NaN and infinities
            text = '"%s"' % _spelled(value)
    else:
        text = json.dumps(_number(value))
    if step is None:
        _put(('%s%s,"t":%d}\n' % (start, text, _now() // 1000)).encode("ascii"))
    else:
        _put(('%s%s,"step":%d,"t":%d}\n' % (start, text, step, _now() // 1000)).encode("ascii"))


def _number(value):
    """A number out of what scripts have: a tensor, an array of one, a text that spells one."""
    if isinstance(value, str):
        return value
    if hasattr(value, "item"):
        try:
            value = value.item()
        except (ValueError, RuntimeError):
            raise ValueError("a metric is one number, not %s of %s" % (type(value).__name__, getattr(value, "shape", "several")))
    return _clean(float(value))


def log_all(values, step=None):
    """Several numbers of one step."""
    if _fd < 0:
        return
    body = {"values": {str(name): _number(value) for name, value in values.items()}}
    if step is not None:
        body["step"] = int(step)
    write("metrics", body)


def params(values):
    """Parameters of the run, such as the learning rate."""
    write("params", {"values": dict(values)})


def tags(values):
    """Tags of the run; None removes one."""
    write("tags", {"values": {str(name): None if value is None else str(value) for name, value in values.items()}})


def text(name, value, step=None):
    write("text", _stepped({"name": str(name), "text": str(value)}, step))


def progress(stage, done, total, unit="", **more):
    """How far a stage is. `more`: epoch, epochs, step, steps, rate (units a second), eta_ns."""
    body = {"stage": stage, "done": done, "total": total, "unit": unit}
    body.update(more)
    write("progress", body)


def warning(code, message):
    write("warning", {"code": code, "message": message})


def failure(code, message):
    """Last words of a rank that is about to fail; they become the run's reason."""
    write("warning", {"code": code, "message": message, "fatal": True})


def conclusion(message):
    """Last words of a rank that is about to end well."""
    write("conclusion", {"message": message})


def artifact(path, name=None):
    """Keeps a file with the run: copies it into the outputs as `name`, unless it lies there already. Returns its name."""
    folder = os.path.realpath(outputs())
    source = os.path.realpath(path)
    inside = source.startswith(folder + os.sep)
    if name is None:
        name = os.path.relpath(source, folder) if inside else os.path.basename(source)
    name = _inside(name)
    target = os.path.join(folder, name)
    if source != os.path.realpath(target):
        os.makedirs(os.path.dirname(target), exist_ok=True)
        part = "%s.%d.part" % (target, os.getpid())
        shutil.copyfile(source, part)
        os.replace(part, target)
    write("artifact", {"path": name.replace(os.sep, "/"), "size": os.path.getsize(target)})
    return name


def model(name, path, **more):
    """Asks for the registration of a file or folder of the outputs as a model. `more`: tags, description, …"""
    body = {"name": str(name), "path": str(path)}
    body.update(more)
    write("model", body)


def child(identity, name, state="Running", **more):
    """A part of this run that is told apart, such as a fold; its metrics are named NAME/metric."""
    body = {"id": str(identity), "name": str(name), "state": state}
    body.update(more)
    write("child", body)


def image(name, source, step=None, description=""):
    """A picture. `source`: a path, PNG or JPEG bytes, a figure with savefig, a picture with save (PIL), or an array or tensor
    of height × width, height × width × channels or channels × height × width (1, 3 or 4 channels); floats from 0 to 1,
    integers from 0 to 255."""
    if _fd < 0:
        return
    raw, mime = _picture(source)
    body = _stepped({"name": str(name), "mime": mime, "size": len(raw)}, step)
    size = _size_of(raw)
    if size:
        body["width"], body["height"] = size
    if description:
        body["description"] = str(description)
    if len(raw) <= MAX_INLINE_IMAGE:
        body["data"] = base64.b64encode(raw).decode("ascii")
    else:
        plain = "".join(c if c.isalnum() or c in "._-" else "_" for c in str(name))[:100] or "image"
        place = "images/%s-%d%s" % (plain, _now() // 1000, ".jpg" if mime == "image/jpeg" else ".png")
        target = os.path.join(outputs(), place)
        os.makedirs(os.path.dirname(target), exist_ok=True)
        with open(target, "wb") as file:
            file.write(raw)
        body["path"] = place
    write("image", body)


def table(name, columns, rows, step=None, append=False, **more):
    """Rows of a table. `append`: they go on from the rows that were reported under this name before."""
    body = _stepped({"name": str(name), "columns": [str(column) for column in columns], "rows": [list(row) for row in rows]}, step)
    if append:
        body["append"] = True
    body.update(more)
    write("table", body)


def histogram(name, counts, edges, step=None, **more):
    """`edges` has one entry more than `counts`."""
    counts, edges = list(_clean(counts)), list(_clean(edges))
    if len(edges) != len(counts) + 1:
        raise ValueError("a histogram of %d bins has %d edges, not %d" % (len(counts), len(counts) + 1, len(edges)))
    body = _stepped({"name": str(name), "counts": counts, "edges": edges}, step)
    body.update(more)
    write("histogram", body)


def confusion_matrix(name, labels, matrix, step=None, description=""):
    """`matrix`: one row for each true class, in the order of `labels`; columns are what was predicted."""
    rows = [list(row) for row in _clean(matrix)]
    labels = [str(label) for label in labels]
    if len(rows) != len(labels) or any(len(row) != len(labels) for row in rows):
        raise ValueError("a confusion matrix of %d classes is %d × %d" % (len(labels), len(labels), len(labels)))
    more = {"type": "confusion_matrix"}
    if description:
        more["description"] = str(description)
    table(name, labels, rows, step, **more)


def _stepped(body, step):
    if step is not None:
        body["step"] = int(step)
    return body


def _inside(name):
    """A name inside the outputs: relative, without a way out."""
    name = os.path.normpath(str(name).replace("\\", "/")).lstrip("/")
    if name in ("", ".") or name.split("/")[0] == "..":
        raise ValueError("%r is no name of a file inside the outputs" % (name,))
    return name


def _picture(source):
    if isinstance(source, (bytes, bytearray, memoryview)):
        raw = bytes(source)
    elif hasattr(source, "savefig") or (hasattr(source, "save") and not hasattr(source, "shape")):
        import io
        buffer = io.BytesIO()
        if hasattr(source, "savefig"):
            source.savefig(buffer, format="png")
        else:
            source.save(buffer, "PNG")
        raw = buffer.getvalue()
    elif hasattr(source, "shape") or isinstance(source, (list, tuple)):
        raw = _png(source)
    else:
        with open(source, "rb") as file:
            raw = file.read()
    if raw[:8] == b"\x89PNG\r\n\x1a\n":
        return raw, "image/png"
    if raw[:3] == b"\xff\xd8\xff":
        return raw, "image/jpeg"
    raise ValueError("a picture is PNG or JPEG, an array, or something that can save itself as PNG")


def _size_of(raw):
    if raw[:8] == b"\x89PNG\r\n\x1a\n" and len(raw) >= 24:
        return struct.unpack(">II", raw[16:24])
    at = 2
    while at + 9 < len(raw) and raw[at] == 0xFF:  # JPEG: look for the frame's header
        if 0xC0 <= raw[at + 1] <= 0xCF and raw[at + 1] not in (0xC4, 0xC8, 0xCC):
            height, width = struct.unpack(">HH", raw[at + 5:at + 9])
            return width, height
        at += 2 + struct.unpack(">H", raw[at + 2:at + 4])[0]
    return None


def _png(array):
    """PNG bytes of an array, without a library."""
    if hasattr(array, "detach"):
        array = array.detach().cpu()
    if hasattr(array, "numpy"):
        array = array.numpy()
    rows = array.tolist() if hasattr(array, "tolist") else [list(row) for row in array]
    shape = []
    level = rows
    while isinstance(level, (list, tuple)):
        shape.append(len(level))
        if not level:
            raise ValueError("an empty array is no picture")
        level = level[0]
    if len(shape) == 2:
        rows = [[[value] for value in row] for row in rows]
    elif len(shape) == 3 and shape[2] not in (1, 3, 4) and shape[0] in (1, 3, 4):
        rows = [[[plane[y][x] for plane in rows] for x in range(shape[2])] for y in range(shape[1])]
    elif len(shape) != 3 or shape[2] not in (1, 3, 4):
        raise ValueError("an array of shape %s is no picture" % (shape,))
    channels = len(rows[0][0])
    floats = isinstance(rows[0][0][0], float)
    scanned = bytearray()
    for row in rows:
        scanned.append(0)
        for pixel in row:
            for value in pixel:
                if floats:
                    value = 0 if value != value else value * 255 + 0.5
                scanned.append(max(0, min(255, int(value))))

    def chunk(kind, data):
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data) & 0xFFFFFFFF)

    head = struct.pack(">IIBBBBB", len(rows[0]), len(rows), 8, {1: 0, 3: 2, 4: 6}[channels], 0, 0, 0)
    return (b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", head) + chunk(b"IDAT", zlib.compress(bytes(scanned), 6)) + chunk(b"IEND", b""))


def _tell_dropped():
    if _fd >= 0 and _dropped:
        write("warning", {"code": "client.dropped", "count": _dropped,
                          "message": "%d records of process %d could not be written and are missing." % (_dropped, os.getpid())})


atexit.register(_tell_dropped)
