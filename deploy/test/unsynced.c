// Takes durability away, for a test of a test: with this loaded (LD_PRELOAD), a sync of what has the text UNSYNCED in its path, and
// not the text SYNCED, does nothing and says that it was done.
#define _GNU_SOURCE
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <sys/types.h>
#include <unistd.h>

static int is_unsynced(int file) {
    const char *unsynced = getenv("UNSYNCED"), *synced = getenv("SYNCED");
    char link[64], path[PATH_MAX];
    snprintf(link, sizeof link, "/proc/self/fd/%d", file);
    ssize_t length = readlink(link, path, sizeof path - 1);
    if (unsynced == NULL || length < 0) return 0;
    path[length] = 0;
    return strstr(path, unsynced) != NULL && (synced == NULL || strstr(path, synced) == NULL);
}

int fsync(int file) { return is_unsynced(file) ? 0 : syscall(SYS_fsync, file); }
int fdatasync(int file) { return is_unsynced(file) ? 0 : syscall(SYS_fdatasync, file); }
int sync_file_range(int file, off_t offset, off_t length, unsigned flags) {
    return is_unsynced(file) ? 0 : syscall(SYS_sync_file_range, file, offset, length, flags);
}
