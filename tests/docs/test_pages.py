"""What the pages tell people to do is done, against a real server in a temporary directory."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import click
import pytest

from aaa.cli.main import root
from aaa.config import load_config
from aaa.keys import Keys
from aaa.provision import ApplyFile, parse_apply
from tests.docs.machine import Machine
from tests.docs.pages import OTHERS, PAGES, ROOT, commands, inline, needs_postgresql, steps
from tests.support.postgres import BINARIES, USER, Postgres

# What only a machine set up for it has: system users, units, containers, another host.
LEFT_OUT = {"docker", "fs_cli", "install", "make", "man", "pip", "systemctl", "useradd"}


def named(page: Path) -> str:
    return str(page.relative_to(ROOT)).removeprefix("docs/how-to/").removesuffix(".md")


def program(command: str) -> str:
    """What a command runs, behind the variables it is given."""
    return next(word for word in command.split() if "=" not in word)


def has(page: Path, kind: str) -> bool:
    return any(step.kind == kind for step in steps(page))


@pytest.fixture(scope="session")
def installed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The files of a server that was set up and provisioned once for all pages: its key and its database."""
    directory = tmp_path_factory.mktemp("installed")
    machine = Machine()
    machine.keep(directory)
    machine.close()
    return directory


@pytest.fixture
def machine(page: Path, installed: Path) -> Iterator[Machine]:
    """A machine for a page, with a PostgreSQL server of its own if the page needs one."""
    if not needs_postgresql(page):
        machine = Machine(installed)
        yield machine
        machine.close()
        return
    if not BINARIES:
        pytest.skip("PostgreSQL is not installed")
    postgres = Postgres()
    found = {"PGHOST": "127.0.0.1", "PGPORT": str(postgres.port), "PGUSER": USER, "PGDATABASE": "postgres"}
    machine = Machine(url=postgres.create("aaa"), environ=found)
    yield machine
    machine.close()
    postgres.stop()


@pytest.mark.parametrize("page", [page for page in PAGES if has(page, "sh")], ids=named)
def test_the_commands_of_a_page_do_what_it_says(page: Path, machine: Machine):
    """Every block, in order, by one shell that stops at the first failure; what is shown is what was told."""
    todo = steps(page)
    outputs = machine.run(todo)

    for step, output in zip(todo, outputs, strict=True):
        for text in step.shows:
            assert text in output, step.text


@pytest.mark.parametrize("page", PAGES, ids=named)
def test_only_what_needs_another_machine_is_left_out(page: Path):
    """A block is not run when each of its commands is one of a few programs, and no command hides elsewhere."""
    left_out = [command for step in steps(page) if step.words == "not-run" for command in commands(step.text)]
    text = re.sub(r"^```.*?^```$", "", page.read_text(encoding="utf-8"), flags=re.MULTILINE | re.DOTALL)

    assert set() == {program(command) for command in left_out} - LEFT_OUT
    assert [] == re.findall(r"^    (?:aaactl|aaad|curl|sudo|systemctl) .*", text, re.MULTILINE)
    assert {"sh", "toml", "python", "text", "given"} >= {step.kind for step in steps(page)}


@pytest.mark.parametrize("page", [page for page in (*PAGES, *OTHERS) if inline(page)], ids=named)
def test_commands_in_running_text_are_understood(page: Path):
    """Noun, verb and options are those of the command line."""
    for command in inline(page):
        assert "" == problem(command)


def problem(command: str) -> str:
    """What the command line finds wrong with a command, "" for nothing."""
    try:
        _parse(command.split()[1:])
    except click.ClickException as error:
        return f"{command}: {error.format_message()}"
    return ""


def _parse(words: list[str]) -> None:
    """Let click read a command without running it."""
    context = root.make_context("aaactl", words)
    command: click.Command = root
    rest = [*context._protected_args, *context.args]
    while isinstance(command, click.Group):
        if not rest:
            return  # a noun alone
        _, found, rest = command.resolve_command(context, rest)
        assert found is not None
        command = found
        if isinstance(command, click.Group):
            context = command.make_context(command.name, rest, parent=context)
            rest = [*context._protected_args, *context.args]
    command.make_context(command.name, rest, parent=context, resilient_parsing=True)  # named without what it needs


@pytest.mark.parametrize("page", [page for page in (*PAGES, *OTHERS) if has(page, "toml")], ids=named)
def test_every_file_in_a_page_is_sound(page: Path, tmp_path: Path):
    """It can be applied, or it is configuration that loads."""
    Keys.create(tmp_path / "key")
    (tmp_path / "secret").write_text("of some length")
    for step in steps(page):
        if step.kind != "toml" or "# ...\n" in step.text:  # part of a table
            continue
        files = dict.fromkeys(
            re.findall(r'(?:secret_file|rates_file) = "([^"]+)"', step.text), "prefix,price\n44,0.1\n"
        )
        if not step.words.startswith("/etc/aaa/") and isinstance(parse_apply(step.text, files, page.name), ApplyFile):
            continue
        text = re.sub(r'(secret|password)_file = ".*?"', rf'\1_file = "{tmp_path}/secret"', step.text)
        text = re.sub(r'directory = ".*?"', f'directory = "{tmp_path}"', text)
        path = tmp_path / "aaa.toml"
        path.write_text(text)
        loaded = load_config(path, {"AAA__SERVER__KEY_FILE": f"{tmp_path}/key"})
        assert f"{tmp_path}/key" == str(loaded.server.key_file)
