"""
The control API: operators' reads and writes over HTTP/JSON, in a thread of its own.
"""

from aaa.api.server import ApiServer, start_api

__all__ = ["ApiServer", "start_api"]
