"""The configuration: one YAML file, read strictly, checked whole, and handed on as frozen settings with its secrets."""

from gateway.config.fault import Fault, Invalid
from gateway.config.loader import load
from gateway.config.settings import ApiKeyOwner, ProviderSection, Settings
from gateway.config.version import version

__all__ = ["ApiKeyOwner", "Fault", "Invalid", "ProviderSection", "Settings", "load", "version"]
