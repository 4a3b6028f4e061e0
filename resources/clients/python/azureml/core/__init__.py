from azureml import NotCoveredError, __version__ as VERSION
from azureml.core.run import Run

__all__ = ["Run", "VERSION"]

_INSTEAD = {
    "Dataset": "Name the data as an input of the run; its path is in TRAINYARD_INPUT_<NAME>.",
    "Datastore": "Name the data as an input of the run; its path is in TRAINYARD_INPUT_<NAME>.",
    "Environment": "The run's environment is chosen when it is submitted.",
    "Experiment": "Runs are submitted in the window or with trainyard-cli; a script finds its own with Run.get_context().",
    "Model": "run.register_model(…) asks for a registration; models of the workspace come to a run as inputs.",
    "ScriptRunConfig": "Runs are submitted in the window or with trainyard-cli.",
    "Workspace": "A script reaches its own run alone: Run.get_context().",
}


def __getattr__(name):
    if name.startswith("__"):
        raise AttributeError(name)
    raise NotCoveredError("azureml.core." + name, _INSTEAD.get(name, ""))
