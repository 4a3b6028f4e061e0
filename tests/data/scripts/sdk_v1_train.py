"""A training script as Azure ML's SDK v1 knew them: metrics, files and the model go to the run through azureml.core alone."""
import argparse
import json
import os
import random

from azureml.core import Run
from azureml.core.run import Run as SameRun

run = Run.get_context()
assert isinstance(run, SameRun)

parser = argparse.ArgumentParser()
parser.add_argument("--num_epochs", type=int, default=3)
parser.add_argument("--output_dir", type=str, default="./outputs")
parser.add_argument("--learning_rate", type=float, default=0.001)
arguments = parser.parse_args()

run.log("lr", arguments.learning_rate)
random.seed(1)
best = 0.0
for epoch in range(arguments.num_epochs):
    loss = 1.0 / (epoch + 1)
    accuracy = 1 - loss / 2
    best = max(best, accuracy)
    run.log("loss", loss)
    run.log("accuracy in a string", str(accuracy))
    run.log_row("by epoch", epoch=epoch, loss=loss)
run.log("best_val_acc", float(best), step=arguments.num_epochs)
run.log("verdict", "good enough")
run.log_list("halves", [1, 0.5, 0.25])
run.log_table("squares", {"x": [1, 2, 3], "y": [1, 4, 9]})
run.log_confusion_matrix("confusion", {"schema_type": "confusion_matrix", "schema_version": "1.0.0",
                                       "data": {"class_labels": ["chicken", "turkey"], "matrix": [[45, 5], [3, 47]]}})
run.log_residuals("residuals", json.dumps({"schema_type": "residuals", "schema_version": "1.0.0",
                                           "data": {"bin_edges": [-1, 0, 1], "bin_counts": [2, 3], "mean_true": 0.5}}))
picture = bytes.fromhex("89504e470d0a1a0a0000000d4948445200000001000000010802000000907753de0000000c4944415408d763f8cfc000000301"
                        "0100c9fe92ef0000000049454e44ae426082")
with open("dot.png", "wb") as file:
    file.write(picture)
run.log_image("dot", path="dot.png", description="one pixel")


class Plot:
    def savefig(self, stream, **options):
        stream.write(picture)


run.log_image("plot", plot=Plot())

os.makedirs(arguments.output_dir, exist_ok=True)
with open(os.path.join(arguments.output_dir, "model.pt"), "wb") as file:
    file.write(b"weights")
os.makedirs("report/deep", exist_ok=True)
for name in ("report/a.txt", "report/deep/b.txt"):
    with open(name, "w") as file:
        file.write(name)
run.upload_file("outputs/notes/a.txt", "report/a.txt")
run.upload_folder("report", "report")
run.download_file("outputs/model.pt", "copy.pt")
assert open("copy.pt", "rb").read() == b"weights"

run.tag("quality", "high")
run.set_tags({"data": "birds", "classes": 2})
run.add_properties({"author": "somebody"})
model = run.register_model(model_name="pytorch-birds", model_path="outputs/model.pt", tags={"area": "birds"})
assert model.name == "pytorch-birds" and model.version is None

assert run.get_metrics("halves") == {"halves": [1, 0.5, 0.25]}
assert run.get_metrics()["best_val_acc"] == best
details = run.get_details()
assert details["runId"] == run.id and details["status"] == "Running" and details["properties"] == {"author": "somebody"}
assert run.parent is None and run.experiment.name

child = run.child_run("fold-1")
assert child.parent is run and child.id.startswith(run.id)
child.log("loss", 0.125)
child.complete()

for attempt, word in ((lambda: __import__("azureml.core", fromlist=["Dataset"]).Dataset, "Dataset"),
                      (lambda: __import__("azureml.train.hyperdrive"), "azureml.train"),
                      (lambda: run.wait_for_completion(), "wait_for_completion"),
                      (lambda: run.experiment.workspace, "workspace")):
    try:
        attempt()
    except (ImportError, AttributeError) as error:
        assert "not cover" in str(error) and word in str(error), error
    else:
        raise AssertionError(word + " is covered?")
run.flush()
run.complete()
