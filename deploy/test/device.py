"""A device with a cache of its own, which loses its power: of what was written since the last flush some is there afterwards, and
some is not, in any order and by sectors of 512 bytes.

It is a file that this process serves to the kernel (FUSE, its root alone), so that a loop device on it is such a device. A loss of
power has two steps: from `cut` on nothing is answered, as if time stood still, until who writes was killed; from `end` on
everything fails. Absent: damage of what was flushed.
"""

import ctypes
import os
import select
import struct
import threading

import tools

KERNEL = "/dev/fuse"
_SECTOR = 512
_LARGEST_WRITE = 128 << 10
_MNT_DETACH = 2
_GETATTR, _OPEN, _READ, _WRITE, _STATFS, _RELEASE, _FSYNC, _FLUSH, _INIT = 3, 14, 15, 16, 17, 18, 20, 25, 26
_FORGET, _INTERRUPT, _BATCH_FORGET = 2, 36, 42
_EIO, _ENOSYS = 5, 38
_libc = ctypes.CDLL(None, use_errno=True)


class Device:
    """The file at `place`, as large as `image`, which has what is durable of it. Of the sectors that were not flushed one of these
    shares outlives a loss."""

    def __init__(self, image, chance, shares=(0, 0.1, 0.5, 0.9, 1)):
        self._random, self._shares, self.size = chance, shares, image.stat().st_size
        self._durable = os.open(image, os.O_RDWR)
        # What is read: with all that was written.
        now, self.place = image.with_suffix(".now"), image.with_suffix(".served")
        tools.run("cp", "--sparse=always", image, now)
        self._now = os.open(now, os.O_RDWR)
        self.place.touch()
        #: Of writes since the last flush, in their order: where, and what.
        self._unflushed = []
        self.flushes = self.lost = self.kept = 0
        self._serve()

    def _serve(self):
        self._is_served, self._has_power, self._left = True, True, None
        self._is_cut, self._has_ended = threading.Event(), threading.Event()
        self._kernel = os.open(KERNEL, os.O_RDWR)
        options = f"fd={self._kernel},rootmode=100600,user_id=0,group_id=0"
        if _libc.mount(b"device", os.fsencode(self.place), b"fuse", 0, options.encode()) != 0:
            raise OSError(ctypes.get_errno(), "the device can't be mounted")
        self._thread = threading.Thread(target=self._answer_all, args=(self._kernel,), daemon=True)
        self._thread.start()

    def cut(self):
        """In the midst of what is being written, or after a while without."""
        self._left = self._random.randrange(12)
        self._is_cut.wait(1)
        self._has_power = False

    def end(self):
        self._has_ended.set()

    def come_back(self):
        """With what outlived it."""
        self.remove()
        share = self._random.choice(self._shares)
        for at, data in self._unflushed:
            for start in range(0, len(data), _SECTOR):
                if self._random.random() < share:
                    os.pwrite(self._durable, data[start:start + _SECTOR], at + start)
                    self.kept += 1
                else:
                    self.lost += 1
        for at, data in self._unflushed:
            os.pwrite(self._now, os.pread(self._durable, len(data), at), at)
        self._unflushed = []
        self._serve()

    def remove(self):
        """Whoever still has it open is cut off."""
        _libc.umount2(os.fsencode(self.place), _MNT_DETACH)
        self._is_served = False
        self._thread.join()
        os.close(self._kernel)

    def _answer_all(self, kernel):
        there_is_more = select.poll()
        there_is_more.register(kernel, select.POLLIN)
        while self._is_served:
            if not there_is_more.poll(50):
                continue
            try:
                request = os.read(kernel, _LARGEST_WRITE + 4096)
            except OSError: # nobody has it open any more
                return
            _, operation, number = struct.unpack_from("=IIQ", request)
            if operation in (_FORGET, _INTERRUPT, _BATCH_FORGET):
                continue
            if self._left is not None and operation in (_WRITE, _FSYNC):
                self._left -= 1
                if self._left < 0:
                    self._has_power = False
                    self._is_cut.set()
            if not self._has_power:
                self._has_ended.wait()
                error, answer = _EIO, b""
            else:
                error, answer = self._answer(operation, request[40:])
            try:
                os.write(kernel, struct.pack("=IiQ", 16 + len(answer), -error, number) + answer)
            except OSError: # nobody waits for it any more
                pass

    def _answer(self, operation, request):
        if operation == _WRITE:
            _, at, length = struct.unpack_from("=QQI", request)
            data = request[40:40 + length]
            os.pwrite(self._now, data, at)
            self._unflushed.append((at, data))
            return 0, struct.pack("=II", length, 0)
        if operation == _READ:
            _, at, length = struct.unpack_from("=QQI", request)
            return 0, os.pread(self._now, length, at)
        if operation == _FSYNC:
            for at, data in self._unflushed:
                os.pwrite(self._durable, data, at)
            self._unflushed, self.flushes = [], self.flushes + 1
            return 0, b""
        if operation == _INIT:
            return 0, struct.pack("=IIIIHHIIHHI28x", 7, 31, 0, 1 << 5 | 1 << 22, 16, 12, _LARGEST_WRITE, 1, 32, 0, 0)
        if operation == _GETATTR:
            attributes = struct.pack("=QQQ QQQ III IIIIIII", 1, self.size, self.size // 512, *[0] * 6, 0o100600, 1, 0, 0, 0, 4096, 0)
            return 0, struct.pack("=QII", 3600, 0, 0) + attributes
        if operation == _OPEN:
            return 0, bytes(16)
        if operation in (_FLUSH, _RELEASE):
            return 0, b""
        if operation == _STATFS:
            return 0, struct.pack("=QQQQQIII28x", *[0] * 5, 4096, 255, 4096)
        return _ENOSYS, b""

    def __str__(self):
        return f"a device that was flushed {self.flushes} times, and of whose unflushed sectors {self.kept} were kept and {self.lost} lost"
