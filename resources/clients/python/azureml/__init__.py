"""Trainyard's stand-in for the part of Azure ML's SDK v1 that training scripts use inside a run (azureml.core.Run).

It reports to the run of Trainyard that the script is started in, and behaves as the SDK does offline when there is none.
What it covers is listed in resources/docs/guide/scripts.md; anything else raises NotCoveredError, which names it.
"""
import sys

__version__ = "1.60.0"  # The SDK's last interface that this follows.


class NotCoveredError(ImportError):
    """A part of Azure ML's SDK that has no counterpart inside a run of Trainyard."""

    def __init__(self, what, instead=""):
        super().__init__("Trainyard's azureml module does not cover %s. %s" %
                         (what, instead or "The guide's page \"Run your own script\" lists what it covers."))


class NotCoveredAttributeError(AttributeError):
    """The same for a method or member of something that is covered, so that hasattr() says False."""

    def __init__(self, what):
        super().__init__(str(NotCoveredError(what)))


class _NamesMissingModules:
    """Says what is missing when a module of the SDK is imported that is not here."""

    @staticmethod
    def find_spec(name, path=None, target=None):
        if name.startswith("azureml.") and name not in ("azureml.core", "azureml.core.run", "azureml._covered"):
            raise NotCoveredError(name)
        return None


sys.meta_path.insert(0, _NamesMissingModules)
