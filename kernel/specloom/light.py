"""Commands that answer without importing torch, which takes seconds.

``specloom check`` constructs and builds nodes, but no value of a tensor decides anything unless
something is wrong. So the command first runs with a stand-in for torch and other libraries of
arrays. Its attributes can be passed on and called. Whatever needs a value, such as ``if``, ``len``,
iteration or a conversion to a number, raises ``NeedsLibrary``, and so does every name that is not
known to exist.

The answer of this run is shown only where it is good and there is nothing to say about the file.
Otherwise, in whatever way it ended, nothing was printed, and the process starts again with the
libraries themselves. So no error, warning or other text ever comes from a stand-in.
"""

from __future__ import annotations

import io
import os
import sys
from collections.abc import Iterable, Mapping, Sequence
from contextlib import redirect_stderr, redirect_stdout
from importlib import import_module
from importlib.abc import Loader, MetaPathFinder
from importlib.machinery import ModuleSpec, PathFinder
from types import FunctionType, ModuleType
from typing import TYPE_CHECKING, Any, NoReturn, TextIO

from click import Abort

from specloom.light_names import MODULE, NAMES, VALUES

if TYPE_CHECKING:
    from collections.abc import Callable

COMMANDS = ("check", "graph")
"""The commands that are tried with stand-ins."""

WRITING = ("-o", "--out")
"""The options of these commands that write files, with which nothing is tried."""

FULL = "SPECLOOM_FULL_IMPORTS"
"""The environment variable that says that libraries are to be imported."""

LIBRARIES = ("torch", "scipy", "sklearn", "safetensors")
"""The libraries that have stand-ins."""

RUNS_FUNCTIONS = (
    "torch.no_grad()",
    "torch.inference_mode()",
    "torch.enable_grad()",
    "torch.autograd.function.once_differentiable",
)
"""The decorators of which a function does what it does without them, when it is called."""


class NeedsLibrary(BaseException):
    """A value of a library is needed. No ``except Exception`` may catch it."""


class StandIn:
    """Anything of a library: a function, a class, or a value that nothing is known of.

    Args:
        name: What it is, for ``NeedsLibrary``.
    """

    def __init__(self, name: str) -> None:
        object.__setattr__(self, "_name", name)

    def __getattr__(self, name: str) -> StandIn:
        """An attribute that values or classes of the library are known to have."""
        if name.startswith("__"):
            raise AttributeError(name)
        if name not in VALUES:
            raise NeedsLibrary(f"{self._name}.{name}")
        return StandIn(f"{self._name}.{name}")

    def __setattr__(self, name: str, value: object) -> None:
        """A change that nothing can see."""

    def __setitem__(self, key: object, value: object) -> None:
        """A change that nothing can see."""

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        """An unknown result; a decorated function stays itself where that is right."""
        for one in [*args, *kwargs.values()]:
            if isinstance(one, FunctionType | type):
                if self._name in RUNS_FUNCTIONS:
                    return one
                raise NeedsLibrary(f"{self._name}()")
        return StandIn(f"{self._name}()")

    if TYPE_CHECKING:
        _name: str

    def __enter__(self) -> StandIn:
        """A context, such as one without gradients."""
        return self

    def __exit__(self, *error: object) -> None:
        """Its end."""

    def __mro_entries__(self, bases: tuple[object, ...]) -> tuple[type, ...]:
        """What a class inherits from in place of it."""
        return (Base,)

    def __instancecheck__(self, instance: object) -> bool:
        """Whether something is of this class, which nothing is that is no stand-in."""
        if isinstance(instance, Base) or type(instance) is StandIn:
            raise NeedsLibrary(f"isinstance(…, {self._name})")
        return False

    def __subclasscheck__(self, cls: type) -> bool:
        """Whether a class inherits from this one."""
        if Base in cls.__mro__:
            raise NeedsLibrary(f"issubclass(…, {self._name})")
        return False

    def __or__(self, other: object) -> StandIn:
        """A union of types, or an operation on values."""
        return self

    def __eq__(self, other: object) -> Any:
        """Whether it is the same; of values it is unknown."""
        if "(" in self._name or " " in self._name:
            return StandIn(f"{self._name} eq")
        if self is not other and isinstance(other, StandIn):
            raise NeedsLibrary(f"{self._name} == …")
        return self is other

    __ror__ = __or__
    __hash__ = object.__hash__


class Base:
    """What classes inherit from that inherit from a class of a library."""


class Module(Base):
    """The stand-in for ``torch.nn.Module``."""

    training = True
    call_super_init = False
    dump_patches = False

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        self._own("_buffers")

    def __getattr__(self, name: str) -> Any:
        """A buffer."""
        if name in ("_buffers", "_parameters", "_modules"):
            return self._own(name)
        buffers = self._own("_buffers")
        if name in buffers:
            return buffers[name]
        raise AttributeError(f"{type(self).__name__!r} object has no attribute {name!r}")

    def _own(self, name: str) -> dict[str, Any]:
        found: dict[str, Any] = self.__dict__.setdefault(name, {})
        return found

    def register_buffer(self, name: str, tensor: Any, persistent: bool = True) -> None:
        """Store a buffer."""
        self._own("_buffers")[name] = tensor

    def register_load_state_dict_post_hook(self, hook: Any) -> None:
        """Do nothing: no state is loaded."""

    def eval(self) -> Module:
        """Do nothing: nothing is computed."""
        return self

    def train(self, mode: bool = True) -> Module:
        """Do nothing: nothing is computed."""
        return self


def _raise_for(name: str) -> Callable[..., NoReturn]:
    def needs(*args: Any, **kwargs: Any) -> NoReturn:
        raise NeedsLibrary(name)

    return needs


def _unknown_for(name: str) -> Callable[..., StandIn]:
    def unknown(self: StandIn, *args: Any) -> StandIn:
        return StandIn(f"{self._name} {name}")

    return unknown


OPERATORS = (
    *("add", "sub", "mul", "truediv", "floordiv", "mod", "pow", "matmul", "and", "xor"),
    *("radd", "rsub", "rmul", "rtruediv", "rfloordiv", "rmod", "rpow", "rmatmul", "rand", "rxor"),
    *("neg", "pos", "invert", "abs", "getitem", "lt", "le", "gt", "ge"),
)
"""The operators whose result is as unknown as their operands."""

DECIDING = (
    *("bool", "len", "iter", "contains", "index", "int", "float", "complex", "round"),
    *("array", "str", "repr", "format", "bytes", "next", "reversed", "reduce_ex"),
)
"""The operations that need a value."""

for _name in OPERATORS:
    setattr(StandIn, f"__{_name}__", _unknown_for(_name))
for _name in DECIDING:
    setattr(StandIn, f"__{_name}__", _raise_for(_name))
for _name in MODULE:
    if not hasattr(Module, _name):
        setattr(Module, _name, _raise_for(f"Module.{_name}"))


class Finder(MetaPathFinder, Loader):
    """Gives stand-ins for modules of libraries that are installed.

    Args:
        names: The known names by module.
    """

    def __init__(self, names: Mapping[str, Iterable[str]] = NAMES) -> None:
        self._names = {module: frozenset(each) for module, each in names.items()}

    def find_spec(
        self, fullname: str, path: Sequence[str] | None = None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        """The specification of a stand-in; None for other modules and what is not installed."""
        library, _, rest = fullname.partition(".")
        if library not in LIBRARIES:
            return None
        if not rest and PathFinder.find_spec(library) is None:
            return None
        if fullname not in self._names:
            raise NeedsLibrary(f"import {fullname}")
        return ModuleSpec(fullname, self, is_package=True)

    def create_module(self, spec: ModuleSpec) -> ModuleType:
        """A module without anything."""
        module = ModuleType(spec.name)
        module.__path__ = []
        return module

    def exec_module(self, module: ModuleType) -> None:
        """Give the module its names, each when it is first used."""
        owner = module.__name__
        known = self._names[owner]

        def attribute(name: str) -> Any:
            if name.startswith("__"):
                raise AttributeError(name)
            if name not in known:
                raise NeedsLibrary(f"{owner}.{name}")
            found: Any = StandIn(f"{owner}.{name}")
            if f"{owner}.{name}" in self._names:
                found = import_module(f"{owner}.{name}")
            elif f"{owner}.{name}" == "torch.nn.Module":
                found = Module
            setattr(module, name, found)
            return found

        module.__dict__["__getattr__"] = attribute


class _Held(io.StringIO):
    """What was written to a stream, which says of terminals what the stream does."""

    def __init__(self, stream: TextIO) -> None:
        super().__init__()
        self._stream = stream

    def isatty(self) -> bool:
        """Whether the stream itself is a terminal."""
        return self._stream.isatty()


def is_tried(arguments: Sequence[str]) -> bool:
    """Whether a command line is tried with stand-ins in this process."""
    if not arguments or arguments[0] not in COMMANDS or os.environ.get(FULL):
        return False
    names = [argument.partition("=")[0] for argument in arguments]
    if any(name in WRITING for name in names):
        return False
    return not any(library in sys.modules for library in LIBRARIES)


def answer(command: Callable[[], object]) -> str | None:
    """What a command prints with stand-ins; None where the libraries are needed to know it.

    The stand-ins stay in this process, which must end after it, or start again.

    Args:
        command: Runs it, and returns its exit code.

    Raises:
        KeyboardInterrupt: The user has interrupted it.
    """
    out = _Held(sys.stdout)
    errors = _Held(sys.stderr)
    sys.meta_path.insert(0, Finder())
    code: object = None
    try:
        with redirect_stdout(out), redirect_stderr(errors):
            code = command()
    except SystemExit as end:
        code = end.code
    except (KeyboardInterrupt, Abort):
        raise KeyboardInterrupt from None
    except BaseException:
        return None
    if code or errors.getvalue():
        return None
    return out.getvalue()


def start_again() -> NoReturn:
    """Start this process again, with the libraries."""
    os.environ[FULL] = "1"
    sys.stdout.flush()
    sys.stderr.flush()
    os.execv(sys.executable, [sys.executable, *sys.orig_argv[1:]])
