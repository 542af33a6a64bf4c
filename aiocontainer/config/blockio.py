"""Limits on block devices."""

from typing import Annotated, TypeAlias

from pydantic import Field

from .base import Model, Whole
from .devices import DeviceNumber
from .units import PositiveByteLimit, PositiveCountLimit

__all__ = ("BlockIo", "ByteRate", "DeviceWeight", "OperationRate")

_Weight: TypeAlias = Annotated[Whole, Field(ge=10, le=1000)]


class DeviceWeight(Model):
    """Relative weight on one block device, 10 to 1000."""

    major: DeviceNumber
    minor: DeviceNumber
    weight: _Weight | None = None
    leaf_weight: _Weight | None = None


class ByteRate(Model):
    """Most bytes a second on one block device."""

    major: DeviceNumber
    minor: DeviceNumber
    bytes_per_s: PositiveByteLimit


class OperationRate(Model):
    """Most operations a second on one block device."""

    major: DeviceNumber
    minor: DeviceNumber
    operations_per_s: PositiveCountLimit


class BlockIo(Model):
    """Limits on block devices. Weights are on the v1 scale, converted on v2."""

    weight: _Weight | None = None
    """Relative weight, 10 to 1000; the kernel's default is 500."""
    leaf_weight: _Weight | None = None
    """Weight of the cgroup's own processes against its children (v1, old kernels)."""
    weight_devices: tuple[DeviceWeight, ...] = ()
    throttle_read_bps: tuple[ByteRate, ...] = ()
    throttle_write_bps: tuple[ByteRate, ...] = ()
    throttle_read_iops: tuple[OperationRate, ...] = ()
    throttle_write_iops: tuple[OperationRate, ...] = ()
