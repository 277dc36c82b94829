"""Everything that is shipped for operators fits what the server really has."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
from pathlib import Path

import pytest
import yaml
from prometheus_client import CollectorRegistry
from prometheus_client.exposition import generate_latest

from aaa.config import load_config
from aaa.keys import Keys
from aaa.ops.metrics import GAUGES, Collector, Sources
from aaa.provision import ApplyFile, parse_apply
from aaa.store.read import open_reader

CONF = Path(__file__).parents[3] / "conf"
METRIC = re.compile(r"\baaa_[a-z_]+")


def known_metrics(tmp_path: Path) -> set[str]:
    """Every family the collector has, with the names of its samples."""
    registry = CollectorRegistry()
    gauges = dict.fromkeys(GAUGES, 0.0)
    registry.register(Collector(Sources(open_reader(f"sqlite:///{tmp_path}/none.db"), "0", {}, {}, lambda: gauges)))
    text = generate_latest(registry).decode()
    families = {line.split()[2]: line.split()[3] for line in text.splitlines() if line.startswith("# TYPE")}
    histograms = {name for name, kind in families.items() if kind == "histogram"}
    return set(families) | {f"{name}_{part}" for name in histograms for part in ("bucket", "sum", "count")}


@pytest.mark.parametrize("name", ["prometheus/rules.yml", "grafana/money.json", "grafana/protocol.json"])
def test_rules_and_boards_name_metrics_that_exist(name, tmp_path):
    """An alert on a misspelt metric never fires."""
    named = set(METRIC.findall((CONF / name).read_text()))

    assert named
    assert set() == named - known_metrics(tmp_path)


def test_the_alerts_cover_what_must_wake_somebody():
    """Overspend, store, lag, outbox, refusals for the store, peers, evictions (OPERATIONS section 6)."""
    (group,) = yaml.safe_load((CONF / "prometheus/rules.yml").read_text())["groups"]
    named = {name for rule in group["rules"] for name in METRIC.findall(rule["expr"])}

    assert named >= {
        "aaa_overspend_amount_total",
        "aaa_store_up",
        "aaa_reactor_lag_seconds_bucket",
        "aaa_outbox_oldest_seconds",
        "aaa_grants_total",
        "aaa_diameter_peer_up",
        "aaa_reply_cache_evictions_total",
    }


def test_every_alert_says_what_it_means():
    """Whoever is woken by it reads the summary first."""
    (group,) = yaml.safe_load((CONF / "prometheus/rules.yml").read_text())["groups"]

    assert all({"alert", "expr", "labels", "annotations"} <= rule.keys() for rule in group["rules"])
    assert all(rule["annotations"]["summary"] for rule in group["rules"])


@pytest.mark.parametrize("name", ["aaa.toml", "demo/aaa.toml", "compose/aaa.toml"])
def test_the_example_configurations_are_sound(name, tmp_path):
    """They are what people copy."""
    Keys.create(tmp_path / "key")
    (tmp_path / "password").write_text("x")
    text = (CONF / name).read_text()
    text = re.sub(r'^key_file = ".*?"', f'key_file = "{tmp_path}/key"', text, flags=re.MULTILINE)
    text = re.sub(r'^url_password_file = ".*?"', f'url_password_file = "{tmp_path}/password"', text, flags=re.MULTILINE)
    (tmp_path / "aaa.toml").write_text(text)

    assert load_config(tmp_path / "aaa.toml").radius.auth


def test_the_demo_file_is_sound():
    """`make run` applies it."""
    files = {"retail.csv": (CONF / "demo/retail.csv").read_text()}

    parsed = parse_apply((CONF / "demo/demo.toml").read_text(), files, "demo.toml")

    assert isinstance(parsed, ApplyFile), parsed
    assert 7 == parsed.objects


def test_the_compose_file_names_files_that_exist():
    """Mounts of what is not there become empty directories."""
    services = yaml.safe_load((CONF / "compose/compose.yaml").read_text())["services"]
    mounts = [
        volume for service in services.values() for volume in service.get("volumes", ()) if volume.startswith(".")
    ]

    assert {"aaad", "postgres", "redis", "prometheus", "migrate"} == services.keys()
    assert all((CONF / "compose" / mount.split(":")[0]).exists() for mount in mounts)


@pytest.mark.skipif(shutil.which("systemd-analyze") is None, reason="systemd-analyze is not installed")
def test_the_systemd_unit_is_understood_and_hardened(tmp_path):
    """No unknown key; an exposure that systemd itself calls OK."""
    unit = tmp_path / "aaad.service"
    unit.write_text((CONF / "systemd/aaad.service").read_text().replace("/usr/bin/aaad", "/bin/true"))
    verified = subprocess.run(["systemd-analyze", "verify", unit], capture_output=True, text=True, check=False)
    security = subprocess.run(
        ["systemd-analyze", "security", "--offline=true", unit], capture_output=True, text=True, check=False
    )

    assert "Unknown" not in verified.stderr
    assert float(re.search(r"exposure level for \S+ ([\d.]+)", security.stdout)[1]) < 3


def test_the_dockerfile_runs_unprivileged_with_a_health_check():
    """What an image must have (OPERATIONS section 10)."""
    text = (CONF.parent / "Dockerfile").read_text()

    assert 2 == len(re.findall(r"^FROM ", text, re.MULTILINE))
    assert all(
        line in text
        for line in (
            "USER 10001:10001",
            "STOPSIGNAL SIGTERM",
            'ENTRYPOINT ["aaad"]',
            'CMD ["aaactl", "server", "health"]',
        )
    )
    assert json.loads(re.search(r"^CMD (\[.*\])", text, re.MULTILINE)[1]) == ["--config", "/etc/aaa/aaa.toml"]
