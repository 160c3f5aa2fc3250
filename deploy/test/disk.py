"""A disk that loses its power: an ext4 in an image, on a loop device.

What was not made durable is gone then, as it is with a machine. To mount it again is to recover from the journal.
"""

import contextlib
import fcntl
import os
import struct

import tools
from device import Device

#: `_IOR('X', 125, __u32)`; without a flush of the journal.
_SHUTDOWN, _NO_FLUSH = 0x8004587D, 2
#: The clock refuses delayed events with less than 64 MiB free.
_SIZE = 512 << 20


class Disk:
    """Mounted at `place`, with these options of ext4.

    Its power goes as the file system is shut down without a word to its journal (EXT4_IOC_SHUTDOWN): nothing more reaches the
    image. What did is there.
    """

    def __init__(self, options="data=ordered"):
        folder = tools.folder("disk")
        self.image, self.place, self.options = folder / "image", folder / "mounted", options
        self.place.mkdir()
        with open(self.image, "wb") as file:
            file.truncate(_SIZE)
        tools.run("mkfs.ext4", "-q", "-F", self.image)
        self._mount()

    def _mount(self):
        tools.run("mount", "-t", "ext4", "-o", f"loop,{self.options}", self._below(), self.place)

    def _below(self):
        return self.image

    @contextlib.contextmanager
    def without_power(self):
        """Who writes is to be killed within. From its end on every write fails."""
        place = os.open(self.place, os.O_RDONLY)
        try:
            fcntl.ioctl(place, _SHUTDOWN, struct.pack("I", _NO_FLUSH))
        finally:
            os.close(place)
        yield

    def come_back(self):
        """After a loss of power, once nobody uses it any more."""
        tools.run("umount", self.place)
        self._mount()

    def remove(self):
        tools.run("umount", self.place)

    def __str__(self):
        return f"ext4 with {self.options}"


class CachedDisk(Disk):
    """On a device with a cache: of what was not flushed any part is there afterwards. The arguments are those of `Device`."""

    def __init__(self, *arguments, options="data=ordered"):
        self._device, self._arguments = None, arguments
        super().__init__(options)

    def _below(self):
        if self._device is None:
            self._device = Device(self.image, *self._arguments)
        return self._device.place

    @contextlib.contextmanager
    def without_power(self):
        self._device.cut()
        yield
        self._device.end()

    def come_back(self):
        tools.run("umount", self.place)
        self._device.come_back()
        self._mount()

    def remove(self):
        super().remove()
        self._device.remove()

    def __str__(self):
        return f"{super().__str__()} on {self._device}"
