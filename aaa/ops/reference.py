"""
The reference pages, made from the code so that they cannot tell something else: `python -m aaa.ops.reference DIR`.
"""

from __future__ import annotations

import importlib
import json
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import click
from fastapi import FastAPI
from pydantic import BaseModel

from aaa.ops.dialects import diameter, radius
from aaa.ops.event_page import events

MADE = "<!-- Made by `python -m aaa.ops.reference docs/reference`; do not edit. -->\n"


def pages() -> dict[str, str]:
    """Every page by file name."""
    return {
        "configuration.md": configuration(),
        "apply.md": apply_files(),
        "command-line.md": command_line(),
        "metrics.md": metrics(),
        "radius.md": f"{MADE}\n{radius()}",
        "diameter.md": f"{MADE}\n{diameter()}",
        "events.md": f"{MADE}\n{events()}",
        "openapi.json": openapi(),
    }


def configuration() -> str:
    """The tables of the configuration file."""
    from aaa.config.sections import Root  # noqa: PLC0415

    parts = [MADE, "# Configuration\n", "Durations are strings with a unit (`30s`, `5m`, `4h`, `7d`).\n"]
    for name, field in Root.model_fields.items():
        section = _model_of(field.annotation)
        title = f"[[{name}]]" if name in ("nas", "peer", "profile", "outbox") else f"[{name}]"
        parts.append(f"## `{title}`\n\n{_first_paragraph(section)}\n\n{_keys(section)}\n")
    return "\n".join(parts)


def apply_files() -> str:
    """The tables of an apply file that concern accounts."""
    from aaa.provision.tables import AccountTable, BucketTable, SubscriptionTable  # noqa: PLC0415

    parts = [MADE, "# Apply files\n"]
    parts.append(
        "`[[tariff]]` is described in [tariffs.md](../tariffs.md), `[[nas]]` and `[[peer]]` in "
        "[configuration.md](configuration.md).\n"
    )
    tables: dict[str, Any] = {
        "account": AccountTable,
        "account.subscription": SubscriptionTable,
        "account.bucket": BucketTable,
    }
    for name, table in tables.items():
        parts.append(f"## `[[{name}]]`\n\n{_first_paragraph(table)}\n\n{_keys(table)}\n")
    return "\n".join(parts)


def command_line() -> str:
    """Every noun and verb with its options."""
    from aaa.cli.main import NOUNS, root  # noqa: PLC0415

    parts = [MADE, "# aaactl\n", _usage(root, "aaactl")]
    for noun in NOUNS:
        command: click.Command = importlib.import_module(f"aaa.cli.commands.{noun}").command
        parts.append(f"## {noun}\n")
        verbs = command.commands.items() if isinstance(command, click.Group) else [("", command)]
        parts += [_usage(verb, f"aaactl {noun} {name}".strip()) for name, verb in sorted(verbs)]
    return "\n".join(parts)


def metrics() -> str:
    """Every metric family with its labels."""
    from sqlalchemy import create_engine  # noqa: PLC0415

    from aaa.ops.metrics import GAUGES, Collector, Sources  # noqa: PLC0415

    engine = create_engine("sqlite:///file:/nonexistent/aaa.db?mode=ro&uri=true")
    families = sorted(
        Collector(Sources(engine, "0", {}, {}, gauges=lambda: dict.fromkeys(GAUGES, 0.0))).collect(),
        key=lambda family: family.name,
    )
    rows = ["| name | type | labels | meaning |", "|---|---|---|---|"]
    for family in families:
        suffix = "_total" if family.type == "counter" else ""
        labels = ", ".join(getattr(family, "_labelnames", ()))
        rows.append(f"| `{family.name}{suffix}` | {family.type} | {labels} | {family.documentation} |")
    return "\n".join([MADE, "# Metrics\n", *rows, ""])


def openapi() -> str:
    """The document of the control API."""
    from aaa.api.app import describe  # noqa: PLC0415

    app: FastAPI = describe("0")
    return json.dumps(app.openapi(), indent=1, sort_keys=True) + "\n"


def _usage(command: click.Command, path: str) -> str:
    context = click.Context(command, info_name=path.rpartition(" ")[2])
    signature = " ".join([path, *command.collect_usage_pieces(context)])
    lines = [f"### `{signature}`\n", (command.help or "").strip().replace("\b", ""), ""]
    for parameter in command.params:
        record = parameter.get_help_record(context)
        if record is not None and record[0] != "-h, --help":
            text = " ".join(record[1].split())
            lines.append(f"* `{record[0]}` {text}".rstrip())
    return "\n".join(lines) + "\n"


def _keys(model: type[BaseModel]) -> str:
    rows = ["| key | type | default |", "|---|---|---|"]
    for name, field in model.model_fields.items():
        rows.append(f"| `{name}` | {' '.join(_types(field))} | {_default(field)} |")
    return "\n".join(rows)


def _types(field: Any) -> Iterator[str]:
    """A type as a person says it, from the schema that validates it."""
    if _is(field, "parse_duration"):
        yield "duration"
        return
    if _is(field, "parse_money", "_credit_limit"):
        yield "money"
        return
    if _is(field, "parse_instant"):
        yield "time"
        return
    schema = _schema(field)
    for option in schema.get("anyOf", [schema]):
        if "enum" in option:
            yield " ".join(f"`{value}`" for value in option["enum"])
        elif "const" in option:
            yield f"`{option['const']}`"
        elif option.get("type") == "array":
            yield "list"
        elif "$ref" in option:
            yield "table"
        elif option.get("type") not in (None, "null"):
            yield str(option["type"])


def _is(field: Any, *parsers: str) -> bool:
    """Whether a key is read by one of our parsers: then the reference names what a person writes."""
    read_by = f"{field.metadata!r} {field.annotation!r}"
    return any(parser in read_by for parser in parsers)


def _schema(field: Any) -> dict[str, Any]:
    from pydantic import create_model  # noqa: PLC0415

    made: Any = create_model("Made", value=(field.rebuild_annotation(), ...))
    properties: dict[str, Any] = made.model_json_schema()["properties"]["value"]
    return properties


def _default(field: Any) -> str:
    if field.is_required():
        return "required"
    if field.default_factory is not None:
        return "the host's name" if field.default_factory.__name__ == "gethostname" else "`[]`"
    value = field.default
    if value is None:
        return ""
    if _is(field, "parse_duration"):
        return f"`{_duration(value)}`"
    return f"`{json.dumps(value)}`"


def _duration(seconds: int) -> str:
    for unit, size in (("d", 86_400), ("h", 3600), ("m", 60)):
        if seconds and seconds % size == 0:
            return f"{seconds // size}{unit}"
    return f"{seconds}s"


def _model_of(annotation: Any) -> type[BaseModel]:
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return annotation
    model: type[BaseModel] = annotation.__args__[0]
    return model


def _first_paragraph(model: type[BaseModel]) -> str:
    return " ".join((model.__doc__ or "").strip().partition("\n\n")[0].split())


def main(directory: Path) -> None:
    """Write the pages."""
    directory.mkdir(parents=True, exist_ok=True)
    for name, text in pages().items():
        (directory / name).write_text(text, encoding="utf-8")


if __name__ == "__main__":
    main(Path(sys.argv[1]))
