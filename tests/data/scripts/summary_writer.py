"""PyTorch's own torch.utils.tensorboard.SummaryWriter, where the tensorboard package cannot be had: its messages are compiled
from tensorboard_events.proto by protoc and encoded by Google's library, its file writer is written anew below.

Prints what the writer was told to keep, for the test to compare: one "name value" a line.
"""
import importlib
import os
import subprocess
import sys
import tempfile
import time
import types

from tfrecords import framed


class FileOfEvents:
    """tensorboard.summary.writer.event_file_writer.EventFileWriter: the calls that SummaryWriter makes."""

    def __init__(self, logdir, max_queue=10, flush_secs=120, filename_suffix=""):
        os.makedirs(logdir, exist_ok=True)
        name = "events.out.tfevents.%010d.test.%d%s" % (time.time(), os.getpid(), filename_suffix)
        self._folder = logdir
        self._file = open(os.path.join(logdir, name), "ab")
        self.add_event(messages.Event(wall_time=time.time(), file_version="brain.Event:2"))

    def get_logdir(self):
        return self._folder

    def add_event(self, event):
        self._file.write(framed(event.SerializeToString()))

    def flush(self):
        self._file.flush()

    def close(self):
        self._file.close()


def compiled():
    here = os.path.dirname(os.path.abspath(__file__))
    with tempfile.TemporaryDirectory() as folder:
        subprocess.run(["protoc", "--python_out=" + folder, "--proto_path=" + here, "tensorboard_events.proto"], check=True)
        sys.path.insert(0, folder)
        return importlib.import_module("tensorboard_events_pb2")


def stand_in(name, **members):
    """A module of the missing package. Graphs, embeddings and the like are never called."""
    module = types.ModuleType(name)
    module.__dict__.update(members)
    sys.modules[name] = module


messages = compiled()
unused = {}
for name, members in (("graph", ["GraphDef"]), ("node_def", ["NodeDef"]), ("versions", ["VersionDef"]), ("attr_value", ["AttrValue"]),
                      ("config", ["RunMetadata"]), ("step_stats", ["StepStats", "DeviceStepStats"])):
    unused["tensorboard.compat.proto.%s_pb2" % name] = {member: None for member in members}
for name, members in (("event", ["Event", "SessionLog"]), ("summary", ["HistogramProto", "Summary", "SummaryMetadata"]),
                      ("tensor", ["TensorProto"]), ("tensor_shape", ["TensorShapeProto"])):
    unused["tensorboard.compat.proto.%s_pb2" % name] = {member: getattr(messages, member) for member in members}
stand_in("tensorboard", __version__="2.11")
stand_in("tensorboard.compat", tf=None)
stand_in("tensorboard.compat.proto")
for name, members in unused.items():
    stand_in(name, **members)
sys.modules["tensorboard.compat.proto"].event_pb2 = sys.modules["tensorboard.compat.proto.event_pb2"]
stand_in("tensorboard.plugins")
stand_in("tensorboard.plugins.projector")
stand_in("tensorboard.plugins.projector.projector_config_pb2", ProjectorConfig=None, EmbeddingInfo=None)
stand_in("tensorboard.plugins.custom_scalar", layout_pb2=None)
stand_in("tensorboard.plugins.pr_curve")
stand_in("tensorboard.plugins.pr_curve.plugin_data_pb2", PrCurvePluginData=None)
stand_in("tensorboard.plugins.text")
stand_in("tensorboard.plugins.text.plugin_data_pb2", TextPluginData=messages.TextPluginData)
stand_in("tensorboard.summary")
stand_in("tensorboard.summary.writer")
stand_in("tensorboard.summary.writer.event_file_writer", EventFileWriter=FileOfEvents)
stand_in("tensorboard.summary.writer.record_writer", RecordWriter=None)

import torch  # noqa: E402
from torch.utils.tensorboard import SummaryWriter  # noqa: E402

writer = SummaryWriter("logs")
for step in range(20):
    writer.add_scalar("loss", 1 / (step + 1), step)
writer.add_scalar("tensor", torch.tensor(0.75), 3, new_style=True)
writer.add_scalar("exact", 0.1, 4, new_style=True, double_precision=True)
writer.add_scalars("both", {"left": 1.5, "right": 2.5}, 7)
values = torch.arange(100.0)
# add_histogram() of PyTorch 1.13 itself does not run with the NumPy of Debian 12.
counts, limits = values.histogram(10, range=(0.0, 100.0))
writer.add_histogram_raw("weights", 0.0, 99.0, 100, values.sum().item(), (values**2).sum().item(), limits[1:].tolist(), counts.tolist(), 5)
picture = torch.zeros(3, 6, 9)
picture[0] = 1
writer.add_image("red", picture, 6)
writer.add_text("note", "what the run is *for*", 8)
writer.close()
print("sum", values.sum().item())
