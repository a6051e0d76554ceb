"""Commands that answer without importing torch, which takes seconds.

``specloom check`` constructs and builds nodes, but no value of a tensor decides anything unless
something is wrong. So the command first runs with a stand-in for torch and other libraries of
arrays. Its attributes can be passed on and called. Whatever needs a value, such as ``if``, ``len``,
iteration or a conversion to a number, raises ``NeedsLibrary``, and so does every name that is not
known to exist.

The answer of this run is shown only where it is good; warnings belong to it. Otherwise, in whatever
way it ended, nothing was printed, and no file was written, which ``graph --out`` does at its end.
Then the process starts again with the libraries themselves, or, where no stand-in was used, as with
a file that is no YAML, it answers without. So no error ever comes from a stand-in.
"""

from __future__ import annotations

import io
import os
import sys
from collections.abc import Iterable, Iterator, Mapping, Sequence
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

    def parameters(self, recurse: bool = True) -> Iterator[Any]:
        """No parameter: a stand-in has none, and nodes have theirs once they are unfrozen.

        Raises:
            NeedsLibrary: There are modules inside this one, which may have some.
        """
        for name, value in vars(self).items():
            if isinstance(value, Module) or (name == "_modules" and value):
                raise NeedsLibrary("Module.parameters")
        return iter(self._own("_parameters").values())

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


class StandInModule(ModuleType):
    """A module of a library, which has its names when they are first used.

    Args:
        name: The name of the module.
        names: The known names by module.
    """

    def __init__(self, name: str, names: Mapping[str, frozenset[str]]) -> None:
        super().__init__(name)
        object.__setattr__(self, "_names", names)
        self.__path__: list[str] = []

    if TYPE_CHECKING:
        _names: Mapping[str, frozenset[str]]

    def __getattr__(self, name: str) -> Any:
        """A known name of the module."""
        if name.startswith("__"):
            raise AttributeError(name)
        full_name = f"{self.__name__}.{name}"
        if name not in self._names[self.__name__]:
            raise NeedsLibrary(full_name)
        found: Any = StandIn(full_name)
        if full_name in self._names:
            found = import_module(full_name)
        elif full_name == "torch.nn.Module":
            found = Module
        setattr(self, name, found)
        return found

    @property
    def __dict__(self) -> NoReturn:  # type: ignore[override]  # vars() must not look empty
        """Need the library: it alone knows all names."""
        raise NeedsLibrary(f"vars({self.__name__})")

    def __dir__(self) -> NoReturn:
        """Need the library: it alone knows all names."""
        raise NeedsLibrary(f"dir({self.__name__})")


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
        return StandInModule(spec.name, self._names)

    def exec_module(self, module: ModuleType) -> None:
        """Do nothing: it has its names when they are first used."""


class _Held(io.StringIO):
    """Holds what is written to a stream, and says of terminals what the stream does.

    Args:
        stream: The stream.
        written: What is written to this and other streams, in its order.
    """

    def __init__(self, stream: TextIO, written: list[tuple[TextIO, str]]) -> None:
        super().__init__()
        self._stream = stream
        self._written = written

    def write(self, text: str) -> int:
        """Hold a text.

        Raises:
            TypeError: It is no text.
        """
        count = super().write(text)
        self._written.append((self._stream, text))
        return count

    def isatty(self) -> bool:
        """Whether the stream itself is a terminal."""
        return self._stream.isatty()


def is_tried(arguments: Sequence[str]) -> bool:
    """Whether a command line is tried with stand-ins in this process."""
    if not arguments or arguments[0] not in COMMANDS or os.environ.get(FULL):
        return False
    if sys.stdout is None or sys.stderr is None:  # a stream that is closed
        return False
    return not any(library in sys.modules for library in LIBRARIES)


def answer(command: Callable[[], object]) -> list[tuple[TextIO, str]] | None:
    """The streams and texts that a command writes where it ends well; else None.

    The stand-ins stay in this process, which must end after it, start again, or go on after
    ``remove_stand_ins``.

    Args:
        command: Runs it, and returns its exit code.

    Raises:
        KeyboardInterrupt: The user has interrupted it.
    """
    written: list[tuple[TextIO, str]] = []
    out = _Held(sys.stdout, written)
    errors = _Held(sys.stderr, written)
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
    if code:
        return None
    return written


def remove_stand_ins() -> bool:
    """Give no stand-ins any more; False where some are in use, so that this process is spoiled."""
    sys.meta_path[:] = [finder for finder in sys.meta_path if not isinstance(finder, Finder)]
    return not any(isinstance(module, StandInModule) for module in sys.modules.values())


def start_again() -> NoReturn:
    """Start this process again, with the libraries."""
    os.environ[FULL] = "1"
    sys.stdout.flush()
    sys.stderr.flush()
    os.execv(sys.executable, [sys.executable, *sys.orig_argv[1:]])
