"""A script for Azure ML's SDK v1 that says itself that it failed, and then ends well."""
import io

from azureml.core import Run

run = Run.get_context()
run.upload_file("outputs/notes.txt", io.BytesIO(b"from a stream"))
with run.child_run("fold-1") as fold:
    fold.log("loss", 0.5)
run.child_run("fold-2").fail("the fold is empty")
run.fail("no birds were found", "Data.Empty")
