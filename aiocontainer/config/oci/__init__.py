"""OCI ``config.json`` (runtime-spec 1.3, Linux) and our models, both ways.

All of it but the last step works on plain dictionaries: `read_document` gives the
keywords of `Config`, `.write.write_document` takes what ``model_dump`` gives.
"""

from .cgroup_path import CgroupManager
from .names import in_oci_words
from .process import read_process, read_program
from .read import Reading, read_document
from .resources import read_resources

__all__ = (
    "CgroupManager",
    "Reading",
    "in_oci_words",
    "read_document",
    "read_process",
    "read_program",
    "read_resources",
)
