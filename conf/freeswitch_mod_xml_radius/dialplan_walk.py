"""
Walks a FreeSWITCH XML dialplan as far as prepaid calls need it, to see where a call would go.

It knows preprocessor sets and includes, `${variables}`, `$1` captures, inline actions, anti-actions and
`continue`; applications do nothing but be listed, except those that set variables.  Used by `check.py` and
by the tests of the server.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path
from xml.etree import ElementTree

INCLUDES_MAX = 50
EXTENSIONS_MAX = 200
STEPS_MAX = 1000

_PREPROCESS = re.compile(r"<X-PRE-PROCESS\s+cmd=\"(\w+)\"\s+data=\"([^\"]*)\"\s*/>")
_GLOBAL = re.compile(r"\$\$\{([^}]+)\}")
_CAPTURE = re.compile(r"\$(\d)")
_INNERMOST = re.compile(r"\$\{([^${}]*)\}")

Action = tuple[str, str]


class Files:
    """XML of a configuration directory, with its preprocessor variables set and its includes taken in."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.globals: dict[str, str] = {}
        self.unset: set[str] = set()  # named somewhere and never set
        variables = root / "vars.xml"
        if variables.exists():
            self._preprocessed(variables, 0)

    def read(self, name: str) -> ElementTree.Element:
        """Parse one file; raises ElementTree.ParseError or OSError."""
        return ElementTree.fromstring(self._preprocessed(self.root / name, 0))  # noqa: S314 - the operator's own files

    def _preprocessed(self, path: Path, depth: int) -> str:
        if depth > INCLUDES_MAX:
            raise OSError(f"{path}: includes itself")

        def replace(found: re.Match[str]) -> str:
            command, data = found.groups()
            if command == "set":
                name, _, value = data.partition("=")
                self.globals[name] = value
            elif command == "include":
                parts = [self._preprocessed(one, depth + 1) for one in sorted(path.parent.glob(data))]
                return "".join(re.sub(r"</?include>", "", part) for part in parts)
            return ""

        text = re.sub(r"<!--.*?-->", "", path.read_text(), flags=re.DOTALL)
        text = _PREPROCESS.sub(replace, text)
        return _GLOBAL.sub(self._global, text)

    def _global(self, found: re.Match[str]) -> str:
        if found[1] not in self.globals:
            self.unset.add(found[1])
        return self.globals.get(found[1], "")


class Dialplan:
    """The contexts of a dialplan."""

    def __init__(self, files: Files, *names: str) -> None:
        self.globals = files.globals
        self.contexts: dict[str, ElementTree.Element] = {}
        for name in names:
            for context in files.read(name).iter("context"):
                self.contexts[context.get("name", "")] = context


class Call:
    """
    One channel on its way through a dialplan.

    Args:
        radius_auth: Sets what the module would set, on the channel's variables.
    """

    def __init__(
        self,
        dialplan: Dialplan,
        variables: dict[str, str],
        radius_auth: Callable[[dict[str, str]], None],
        epoch: Callable[[], int] = lambda: 1_700_000_000,
    ) -> None:
        self.dialplan = dialplan
        self.variables = variables
        self.fields: dict[str, str] = {}
        self.done: list[Action] = []
        self.asked = 0
        self._radius_auth = radius_auth
        self._epoch = epoch
        self._captures: tuple[str, ...] = ()

    def route(self, number: str, context: str) -> list[Action]:
        """Hunt a number in a context and run what was found; returns the applications run, in order."""
        self.fields["destination_number"] = number
        actions = self._hunt(context)
        for application, data in actions:
            if len(self.done) > STEPS_MAX:
                raise RuntimeError("the dialplan does not end")
            if self._run(application, data):
                break
        return self.done

    @property
    def bridged(self) -> str:
        """Where the call went, "" when it went nowhere."""
        return next((data for application, data in self.done if application == "bridge"), "")

    def _hunt(self, context: str) -> list[Action]:
        found: list[Action] = []
        for extension in list(self.dialplan.contexts[context].iter("extension"))[:EXTENSIONS_MAX]:
            if self._matches(extension, found) and extension.get("continue") != "true":
                break
        return found

    def _matches(self, extension: ElementTree.Element, found: list[Action]) -> bool:
        """As mod_dialplan_xml: every condition has to hold; anti-actions count as a match and end it."""
        proceed = False
        for condition in extension.iter("condition"):
            holds = self._holds(condition)
            actions = list(condition.iter("action" if holds else "anti-action"))
            proceed = holds or bool(actions)
            for action in actions:
                application, data = action.get("application", ""), self._captured(action.get("data") or "")
                if action.get("inline") == "true":
                    self._run(application, data)
                else:
                    found.append((application, data))  # its variables are read when it runs
            if not holds:
                return proceed
        return proceed

    def _holds(self, condition: ElementTree.Element) -> bool:
        field = condition.get("field")
        if field is None:
            self._captures = ()
            return True
        value = self.expand(field) if "$" in field else self.fields.get(field, "")
        match = re.search(condition.get("expression") or "", value)
        self._captures = match.groups() if match else ()
        return match is not None

    def _run(self, application: str, data: str) -> bool:
        """Run one application; True when the channel leaves the dialplan."""
        data = self.expand(data)
        self.done.append((application, data))
        if application in ("set", "export"):
            name, _, value = data.removeprefix("nolocal:").partition("=")
            if not data.startswith("nolocal:"):
                self.variables[name] = value
        elif application == "unset":
            self.variables.pop(data, None)
        elif application == "radius_auth":
            self.asked += 1
            self._radius_auth(self.variables)
        elif application == "execute_extension":
            number, _, context = data.partition(" XML ")
            inner, number_before = list(self.done), self.fields["destination_number"]
            self.done = []
            self.route(number, context)
            self.done, self.fields["destination_number"] = inner + self.done, number_before
        return application in ("hangup", "bridge", "transfer")

    def expand(self, text: str) -> str:
        """Replace `${...}`, innermost first."""
        for _ in range(STEPS_MAX):
            text, count = _INNERMOST.subn(lambda found: self._value(found[1]), text)
            if not count:
                break
        return text

    def _captured(self, text: str) -> str:
        """Replace `$1` by what the condition's expression caught."""
        return _CAPTURE.sub(lambda found: self._capture(int(found[1])), text) if self._captures else text

    def _capture(self, number: int) -> str:
        return self._captures[number - 1] or "" if 0 < number <= len(self._captures) else ""

    def _value(self, name: str) -> str:
        function, parenthesis, argument = name.partition("(")
        if not parenthesis:
            return self.variables.get(name, self.dialplan.globals.get(name, ""))
        argument = argument.removesuffix(")")
        if function == "strepoch":
            return str(self._epoch())
        if function == "expr":
            return _calculated(argument)
        self.done.append((function, argument))
        return "+OK"


def _calculated(expression: str) -> str:
    found = re.fullmatch(r"(-?\d+)\s*([-+<>])\s*(-?\d+)", expression)
    if not found:
        return ""
    left, operator, right = int(found[1]), found[2], int(found[3])
    return str({"-": left - right, "+": left + right, "<": int(left < right), ">": int(left > right)}[operator])
