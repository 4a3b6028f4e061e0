"""azureml.core.Run as training scripts use it, on Trainyard's own client."""
import json
import os
import shutil
import sys
import time
import uuid

import trainyard
from azureml import NotCoveredAttributeError, NotCoveredError

_MOST_KEPT = 100000  # Values that get_metrics() remembers.


class RunEnvironmentException(Exception):
    """There is no run, and one was asked for."""


def _place(name):
    """Azure's names begin with outputs/; in Trainyard they lie below the outputs."""
    name = str(name).replace("\\", "/")
    while name.startswith("./"):
        name = name[2:]
    return name[len("outputs/"):] if name.startswith("outputs/") and len(name) > len("outputs/") else name


def _checked(value, schema):
    """The data of one of Azure's JSON documents, given as an object or as its text."""
    if isinstance(value, (str, bytes)):
        value = json.loads(value)
    if not isinstance(value, dict) or value.get("schema_type") != schema or not isinstance(value.get("data"), dict):
        raise ValueError("value must be {\"schema_type\": \"%s\", \"schema_version\": …, \"data\": {…}}" % schema)
    return value["data"]


class Experiment:
    """The experiment of the run, by name."""

    def __init__(self, name):
        self.name = name

    def __getattr__(self, name):
        if name.startswith("__"):
            raise AttributeError(name)
        raise NotCoveredAttributeError("Experiment." + name)

    def __repr__(self):
        return "Experiment(Name: %s)" % self.name


class Model:
    """What register_model() gives back. The version is given in the workspace, after the run."""

    def __init__(self, name, path, tags, properties, description):
        self.name = name
        self.path = path
        self.tags = tags
        self.properties = properties
        self.description = description
        self.version = None
        self.id = name

    def __repr__(self):
        return "Model(name=%s, path=%s)" % (self.name, self.path)


class Run:
    """A run, or a part of one (child_run)."""

    def __init__(self, _id=None, _parent=None, _name=""):
        if _id is None:
            raise NotCoveredError("Run(…)", "Use Run.get_context().")
        self._id = _id
        self._parent = _parent
        self._name = _name
        self._metrics = {}
        self._kept = 0
        self._tags = {}
        self._properties = {}
        self._children = 0
        self._status = "Running"
        self._started = time.time()

    @classmethod
    def get_context(cls, allow_offline=True, used_for_context_manager=False, **kwargs):
        """The run that the script is started in; outside Trainyard one that prints what it is told."""
        global _context
        if _context is None:
            if trainyard.active():
                _context = Run(trainyard.run_id(), None, "")
            elif allow_offline:
                _context = _OfflineRun("OfflineRun_%s" % uuid.uuid4())
        if _context is None or (isinstance(_context, _OfflineRun) and not allow_offline):
            raise RunEnvironmentException("Could not load the run context. The script does not run inside Trainyard.")
        return _context

    def __getattr__(self, name):
        if name.startswith("_"):
            raise AttributeError(name)
        raise NotCoveredAttributeError("Run." + name)

    def __repr__(self):
        return "Run(Experiment: %s, Id: %s, Status: %s)" % (self.experiment.name, self._id, self._status)

    @property
    def id(self):
        """The run's id."""
        return self._id

    @property
    def experiment(self):
        """The run's experiment; it has a name."""
        return Experiment(os.environ.get("TRAINYARD_EXPERIMENT", ""))

    @property
    def parent(self):
        """The run that this is a child of, or None."""
        return self._parent

    def log(self, name, value, description="", step=None):
        """A number, also in a string; without a step it gets the next one. Other strings become texts."""
        self._remember(name, value)
        if isinstance(value, str):
            try:
                float(value)
            except ValueError:
                trainyard.text(self._named(name), value, step)
                return
        trainyard.log(self._named(name), value, step)

    def log_list(self, name, value, description=""):
        """A list of numbers, as points of one metric."""
        values = [trainyard._number(one) for one in value]
        for one in values:
            self._remember(name, one)
        trainyard.write("metrics", {"series": [{"name": self._named(name), "value": values}]})

    def log_row(self, name, description=None, **kwargs):
        """A row of a table, a column for each keyword."""
        self._remember(name, dict(kwargs))
        trainyard.table(self._named(name), list(kwargs), [list(kwargs.values())], append=True)

    def log_table(self, name, value, description=""):
        """A table: a dictionary of columns with lists of equal length."""
        columns = {str(column): list(entries) if isinstance(entries, (list, tuple)) else [entries] for column, entries in dict(value).items()}
        if len({len(entries) for entries in columns.values()}) > 1:
            raise ValueError("The columns of table %s differ in length." % name)
        self._remember(name, columns)
        trainyard.table(self._named(name), list(columns), [list(row) for row in zip(*columns.values())])

    def log_image(self, name, path=None, plot=None, description=""):
        """An image from a file, or a figure of matplotlib."""
        if (path is None) == (plot is None):
            raise ValueError("log_image takes a path or a plot.")
        self._remember(name, "aml://artifactId/%s" % name)
        trainyard.image(self._named(name), path if path is not None else plot, description=description)

    def log_confusion_matrix(self, name, value, description=""):
        """A confusion matrix in Azure's JSON (class_labels, matrix)."""
        data = _checked(value, "confusion_matrix")
        self._remember(name, value)
        trainyard.confusion_matrix(self._named(name), data["class_labels"], data["matrix"], description=description)

    def log_residuals(self, name, value, description=""):
        """Residuals in Azure's JSON (bin_edges, bin_counts)."""
        data = _checked(value, "residuals")
        self._remember(name, value)
        more = {key: entry for key, entry in data.items() if key not in ("bin_edges", "bin_counts")}
        if description:
            more["description"] = description
        trainyard.histogram(self._named(name), data["bin_counts"], data["bin_edges"], type="residuals", **more)

    def upload_file(self, name, path_or_stream, datastore_name=None):
        """Keeps a file, or what a stream holds, with the run under this name."""
        if datastore_name is not None:
            raise NotCoveredError("upload_file(datastore_name=…)")
        if hasattr(path_or_stream, "read"):
            data = path_or_stream.read()
            target = os.path.join(trainyard.outputs(), trainyard._inside(_place(name)))
            os.makedirs(os.path.dirname(target), exist_ok=True)
            part = "%s.%d.part" % (target, os.getpid())
            with open(part, "wb") as file:
                file.write(data.encode("utf-8") if isinstance(data, str) else data)
            os.replace(part, target)
            trainyard.artifact(target)
        else:
            trainyard.artifact(path_or_stream, _place(name))

    def upload_folder(self, name, path, datastore_name=None):
        """Keeps a folder's files with the run under this name."""
        if datastore_name is not None:
            raise NotCoveredError("upload_folder(datastore_name=…)")
        if not os.path.isdir(path):
            raise FileNotFoundError("There is no folder %s." % path)
        for folder, _, files in os.walk(path):
            for file in sorted(files):
                source = os.path.join(folder, file)
                trainyard.artifact(source, "%s/%s" % (_place(name), os.path.relpath(source, path).replace(os.sep, "/")))

    def download_file(self, name, output_file_path=None, _validate_checksum=False):
        """Copies one of this run's own files."""
        source = os.path.join(trainyard.outputs(), trainyard._inside(_place(name)))
        if not os.path.isfile(source):
            raise FileNotFoundError("This run has no file %s." % name)
        target = output_file_path or os.path.basename(source)
        if os.path.isdir(target):
            target = os.path.join(target, os.path.basename(source))
        os.makedirs(os.path.dirname(os.path.abspath(target)), exist_ok=True)
        shutil.copyfile(source, target)

    def tag(self, key, value=None):
        """A tag of the run."""
        self.set_tags({key: "" if value is None else value})

    def set_tags(self, tags):
        """Several tags of the run."""
        self._tags.update({str(key): str(value) for key, value in tags.items()})
        trainyard.tags({self._named(key): value for key, value in tags.items()})

    def add_properties(self, properties):
        """Properties of the run; they stand among its tags as properties.NAME."""
        self._properties.update({str(key): str(value) for key, value in properties.items()})
        trainyard.tags({self._named("properties.%s" % key): value for key, value in properties.items()})

    def get_metrics(self, name=None, recursive=False, run_type=None, populate=False):
        """What this process has logged to this run: a value for each name, a list where there are several."""
        kept = {key: values[0] if len(values) == 1 else list(values) for key, values in self._metrics.items()}
        return {key: value for key, value in kept.items() if name is None or key == name}

    def get_details(self):
        """Id, state, target, properties."""
        return {
            "runId": self._id,
            "target": "trainyard",
            "status": self._status,
            "startTimeUtc": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(self._started)),
            "properties": dict(self._properties),
            "inputDatasets": [],
            "outputDatasets": [],
            "logFiles": {},
        }

    def register_model(self, model_name, model_path=None, tags=None, properties=None, model_framework=None,
                       model_framework_version=None, description=None, datasets=None, sample_input_dataset=None,
                       sample_output_dataset=None, resource_configuration=None, **kwargs):
        """Asks for the registration of a file or folder of the outputs as a model."""
        for key, value in (("datasets", datasets), ("sample_input_dataset", sample_input_dataset),
                           ("sample_output_dataset", sample_output_dataset), ("resource_configuration", resource_configuration)):
            if value is not None:
                raise NotCoveredError("register_model(%s=…)" % key)
        path = _place(model_path or model_name)
        if not os.path.exists(os.path.join(trainyard.outputs(), path)):
            raise FileNotFoundError("This run has no file or folder %s to register." % path)
        more = {"tags": tags, "properties": properties, "framework": model_framework,
                "framework_version": model_framework_version, "description": description}
        trainyard.model(model_name, path, **{key: value for key, value in more.items() if value})
        return Model(model_name, path, dict(tags or {}), dict(properties or {}), description or "")

    def complete(self, _set_status=True):
        """Says that the run is done; what comes behind still counts."""
        self._end("Completed")
        if self._parent is None:
            trainyard.conclusion("The script completed the run.")

    def fail(self, error_details=None, error_code=None, _set_status=True):
        """Makes the run fail, from whichever rank, with this as its reason, also when the script then ends well."""
        self._end("Failed", str(error_details or ""))
        if self._parent is None:
            trainyard.failure(str(error_code or "run.fail"), str(error_details or "The script said that the run failed."))

    def child_run(self, name=None, run_id=None, outputs=None):
        """A part of this run that is told apart; its metrics are called NAME/metric."""
        root = self
        while root._parent is not None:
            root = root._parent
        root._children += 1
        name = str(name or "child-%d" % root._children)
        made = type(self)(run_id or "%s_%d_%d" % (root._id, trainyard.rank(), root._children), self, name)
        trainyard.child(made._id, made._named("")[:-1], parent=self._id)
        return made

    def flush(self, timeout_seconds=300):
        """Nothing to wait for: every call has been written when it returns."""

    def __enter__(self):
        return self

    def __exit__(self, kind, value, trace):
        if kind is None:
            self.complete()
        else:
            self.fail(value)

    def _end(self, status, message=""):
        self._status = status
        if self._parent is not None:
            more = {"message": message} if message else {}
            trainyard.child(self._id, self._named("")[:-1], status, parent=self._parent._id, **more)

    def _named(self, name):
        name = str(name)
        return self._parent._named("%s/%s" % (self._name, name)) if self._parent is not None else name

    def _remember(self, name, value):
        if self._kept < _MOST_KEPT:
            self._kept += 1
            self._metrics.setdefault(str(name), []).append(value)


class _OfflineRun(Run):
    """Outside Trainyard: prints what it is told, as the SDK does, and keeps no files."""

    def _say(self, kind, name, value):
        self._remember(name, value)
        print("Attempted to log %s metric %s:\n%s" % (kind, name, value))
        sys.stdout.flush()

    def log(self, name, value, description="", step=None):
        self._say("scalar", name, value)

    def log_list(self, name, value, description=""):
        self._say("list", name, value)

    def log_row(self, name, description=None, **kwargs):
        self._say("row", name, kwargs)

    def log_table(self, name, value, description=""):
        self._say("table", name, value)

    def log_image(self, name, path=None, plot=None, description=""):
        self._say("image", name, path if path is not None else plot)

    def log_confusion_matrix(self, name, value, description=""):
        self._say("confusion matrix", name, value)

    def log_residuals(self, name, value, description=""):
        self._say("residuals", name, value)

    def upload_file(self, name, path_or_stream, datastore_name=None):
        print("Attempted to upload file %s." % name)

    def upload_folder(self, name, path, datastore_name=None):
        print("Attempted to upload folder %s." % name)

    def register_model(self, model_name, model_path=None, **kwargs):
        raise RunEnvironmentException("A model cannot be registered from an offline run.")


_context = None
