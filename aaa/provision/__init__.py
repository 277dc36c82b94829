"""
Provisioning: `apply` files, checked whole and then written (OPERATIONS section 15).
"""

from aaa.provision.parse import ApplyFile, parse_apply
from aaa.provision.write import write
from aaa.provision.writer import ApplyRefused, Result

__all__ = ["ApplyFile", "ApplyRefused", "Result", "parse_apply", "write"]
