"""systemd hears what it waits for, and nothing happens without it."""

from __future__ import annotations

import socket

from aaa.ops.supervisor import Supervisor


def test_tells_ready_reloading_stopping_alive(tmp_path):
    """The words of sd_notify(3)."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as listener:
        listener.bind(str(tmp_path / "notify"))
        supervisor = Supervisor({"NOTIFY_SOCKET": str(tmp_path / "notify"), "WATCHDOG_USEC": "30000000"})
        supervisor.ready("serving")
        supervisor.reloading()
        supervisor.stopping()
        supervisor.alive()
        heard = [listener.recv(200).decode() for _ in range(4)]

    assert "READY=1\nSTATUS=serving" == heard[0]
    assert heard[1].startswith("RELOADING=1\nMONOTONIC_USEC=")
    assert ["STOPPING=1\nSTATUS=draining", "WATCHDOG=1"] == heard[2:]
    assert 15.0 == supervisor.interval_s


def test_is_silent_without_a_supervisor(tmp_path):
    """No socket, or one that is gone, is nobody's problem."""
    Supervisor({}).ready("serving")
    Supervisor({"NOTIFY_SOCKET": str(tmp_path / "gone")}).alive()

    assert 0.0 == Supervisor({"WATCHDOG_USEC": "30000000", "WATCHDOG_PID": "1"}).interval_s
