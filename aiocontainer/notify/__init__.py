"""What happens to a container, as async iterators on the event loop.

No thread, no task of its own, no polling: see `kernfs` for how the kernel is waited
for, `hub` for how streams share it, `records` for what can happen.
"""

from .cgroup_events import (
    CgroupEventsSource,
    PidsSource,
    PidsTreeSource,
    pids_source,
)
from .hub import EventHub
from .memory_events import MemoryEventsSource
from .oom import OomSource, OomWatch, oom_source, read_oom_kills
from .pressure import (
    TRIGGER_OF_LEVEL,
    MemoryPressureSource,
    PressureSource,
    StallTrigger,
    ThresholdSource,
    pressure_path,
)
from .records import (
    Event,
    Exit,
    Lost,
    MemoryHigh,
    MemoryMax,
    MemoryPressure,
    MemoryThreshold,
    Oom,
    Paused,
    PidsMax,
    Pressure,
    PressureLevel,
    PressureResource,
    Resumed,
)
from .sampler import Sample, Sampler
from .source import Source
from .stream import EventStream

__all__ = (
    "TRIGGER_OF_LEVEL",
    "CgroupEventsSource",
    "Event",
    "EventHub",
    "EventStream",
    "Exit",
    "Lost",
    "MemoryEventsSource",
    "MemoryHigh",
    "MemoryMax",
    "MemoryPressure",
    "MemoryPressureSource",
    "MemoryThreshold",
    "Oom",
    "OomSource",
    "OomWatch",
    "Paused",
    "PidsMax",
    "PidsSource",
    "PidsTreeSource",
    "Pressure",
    "PressureLevel",
    "PressureResource",
    "PressureSource",
    "Resumed",
    "Sample",
    "Sampler",
    "Source",
    "StallTrigger",
    "ThresholdSource",
    "oom_source",
    "pids_source",
    "pressure_path",
    "read_oom_kills",
)
