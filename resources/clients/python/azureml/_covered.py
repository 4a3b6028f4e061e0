"""Prints what this module covers, as the table in resources/docs/guide/scripts.md: python3 -m azureml._covered"""
import inspect

from azureml.core import Run


def rows():
    for name, member in vars(Run).items():
        if name.startswith("_"):
            continue
        if isinstance(member, property):
            yield "run." + name, member.fget.__doc__
            continue
        function = member.__func__ if isinstance(member, classmethod) else member
        words = []
        for parameter in list(inspect.signature(function).parameters.values())[1:]:
            if parameter.name.startswith("_") or parameter.name == "used_for_context_manager":
                continue
            if parameter.kind is parameter.VAR_KEYWORD:
                if name == "log_row":
                    words.append("…")
                continue
            words.append(parameter.name if parameter.default is parameter.empty else "%s=%r" % (parameter.name, parameter.default))
        owner = "Run." if isinstance(member, classmethod) else "run."
        yield "%s%s(%s)" % (owner, name, ", ".join(words)), function.__doc__


if __name__ == "__main__":
    print("| call | what it does |\n|---|---|")
    for call, meaning in rows():
        print("| `%s` | %s |" % (call, " ".join(meaning.split())))
