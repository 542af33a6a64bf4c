"""libcontainer's own JSON: ``container.json`` of nsinit, in each of its spellings.

- 2014: ``mount_config``, ``environment``, ``user``; namespaces as an object;
- 2015: ``mounts`` with flags, ``cgroups`` with all limits in it;
- runc's: five capability sets, ``sysctl``, ``cgroups.path``, limits in
  ``cgroups.resources`` too, seccomp by name.

A document may mix them.
"""

from .names import in_libcontainer_words
from .read import read_container

__all__ = ("in_libcontainer_words", "read_container")
