"""
Configuration: TOML in, one sound `Config` out, or every problem at once (OPERATIONS section 3).
"""

from aaa.config.load import Config, load_config

__all__ = ["Config", "load_config"]
