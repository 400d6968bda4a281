"""A mistyped option or command is answered with the one that is meant: by its meaning, else by its spelling."""

from typing import TYPE_CHECKING, Any

from ffsnn.validation import nearest
from search.hints import command

if TYPE_CHECKING:
    from typer.exceptions import TyperException

OPTIONS = {  # words of other programs for our options, besides those for a search's settings (`SearchConfig.also`)
    "continue": "resume", "restore": "resume", "output": "out", "output_dir": "out", "out_dir": "out", "dir": "home",
    "folder": "home", "root": "home", "override": "set", "file": "write", "k": "top", "n": "top",
    "number": "top", "import": "use", "plugin": "use", "unsafe": "trust", "inverse": "invert", "compare": "against",
    "listen": "host", "server": "tracking_uri", "repeats": "seeds", "runs": "seeds", "yaml": "json", "y": "yes",
}  # fmt: skip
COMMANDS = {  # and for our commands, as they are typed here
    "run": "search", "tune": "search", "optimize": "search", "optimise": "search", "sweep": "search", "start": "search",
    "resume": "search --resume NAME", "continue": "search --resume NAME", "copy": "search --like NAME",
    "clone": "search --like NAME", "cp": "search --like NAME", "rm": "delete", "remove": "delete", "mv": "rename",
    "ls": "list", "searches": "list", "runs": "list", "info": "status", "watch": "status", "ps": "status",
    "kill": "stop", "cancel": "stop", "fit": "train", "eval": "train --test", "evaluate": "train --test",
    "test": "train --test", "infer": "predict", "label": "predict", "classify": "predict", "plot": "report",
    "dashboard": "ui", "mlflow": "ui", "serve": "ui", "diff": "compare", "top": "best",
    "clean": "prune-disk", "gc": "prune-disk", "prune": "prune-disk", "check": "doctor", "datasets": "data list",
    "params": "fields", "config": "fields", "parameters": "fields",
}  # fmt: skip
NO_COMMAND = "No such command "
OF_A_SEARCH = "of the search"  # help of an argument that is a search's name


def said(error: "TyperException") -> str:
    """The message of an error of the command line, with what is meant where that is known."""
    context: Any = getattr(error, "ctx", None)
    message = error.format_message()
    if context is None:
        return message
    if (option := getattr(error, "option_name", None)) and message.startswith("No such option"):
        return _option(option, context)
    if (param := getattr(error, "param", None)) and message.startswith("Missing argument"):
        return _missing(param, context)
    if message.startswith(NO_COMMAND):
        return _command(message.removeprefix(NO_COMMAND).split("'")[1], context)
    return message


def _option(typed: str, context: Any) -> str:
    from ffsnn.fields import full, meant_by, short
    from search.config import SearchConfig

    known = {name.lstrip("-") for it in context.command.params for name in it.opts if name.startswith("--")}
    there = f"there is no option {typed}: "
    name = typed.lstrip("-").partition("=")[0]
    also = {word: meant.replace("_", "-") for word, meant in (OPTIONS | SearchConfig.also).items()}
    plain = name.replace("-", "_")
    if (meant := also.get(plain)) in known:
        return f"{there}did you mean --{meant}?"
    if "set" in known and (field := full(plain) or full(meant_by(plain) or "")) and _is_near(plain, field):
        return f"{there}{field} is a field of the configuration: --set {short(field)}=VALUE"
    meant = nearest(name, known)
    return there + (f"did you mean --{meant}?" if meant else f"see {command(*_path(context), '--help')}")


def _missing(param: Any, context: Any) -> str:
    """Words on a missing argument: the whole command, its help, and for a search's name what lists them."""
    needed = [it for it in context.command.params if it.param_type_name == "argument" and it.required]
    usage = command(*_path(context), *(it.name.upper() for it in needed))
    listed = f"; {command('list')} shows them" if param.help.startswith(OF_A_SEARCH) else ""
    name = param.name.upper()
    return f"{name} is missing: type {usage}. {name}: {param.help.removesuffix(' [required]')}{listed}"


def _is_near(name: str, field: str) -> bool:
    """True where a field is meant rather than some option: by either of its names, or by another word for it."""
    from ffsnn.config import RunConfig
    from ffsnn.fields import short
    from ffsnn.validation import words

    return name in (field, short(field)) or words(RunConfig).get(name.lower()) == short(field)


def _command(typed: str, context: Any) -> str:
    there = f"there is no command {typed}: "
    if not _path(context) and typed.lower() in COMMANDS:
        return f"{there}did you mean {command(*COMMANDS[typed.lower()].split())}?"
    known = [name for name, it in context.command.commands.items() if not it.hidden]
    meant = nearest(typed, known)
    return there + (f"did you mean {meant}?" if meant else f"there are {', '.join(known)}")


def _path(context: Any) -> list[str]:
    """Words of the command that was typed, without the program's."""
    words = []
    while context.parent is not None:
        words.append(context.info_name)
        context = context.parent
    return words[::-1]
