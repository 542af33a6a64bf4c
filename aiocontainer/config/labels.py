"""Names that security modules know processes, mounts and keys by."""

from typing import Annotated, TypeAlias

from pydantic import AfterValidator

from .base import ConfigError, Text

__all__ = ("ApparmorProfile", "SelinuxLabel")


def _printable(text: str) -> str:
    if not text or len(text) > 4000:
        raise ConfigError("", "should be 1 to 4000 characters long")
    if not text.isascii() or any(not " " <= c <= "~" for c in text):
        raise ConfigError("", "contains a character that no name has")
    return text


def _profile(name: str) -> str:
    # The kernel takes what follows a space for something else.
    if " " in _printable(name):
        raise ConfigError("", "contains a space")
    return name


def _label(label: str) -> str:
    if " " in _printable(label) or label.count(":") < 2:
        raise ConfigError("", "should be user:role:type or user:role:type:level")
    return label


ApparmorProfile: TypeAlias = Annotated[Text, AfterValidator(_profile)]
"""Name of a loaded AppArmor profile, or ``unconfined``."""

SelinuxLabel: TypeAlias = Annotated[Text, AfterValidator(_label)]
"""An SELinux context, as ``system_u:system_r:container_t:s0:c1,c2``."""
