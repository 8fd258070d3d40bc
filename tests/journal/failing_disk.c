/*
 * A disk that fails on demand, for the journal only: preloaded into the daemon, it answers
 *
 *     fsync, fdatasync            with EIO      while the file named by $FAIL_SYNC is there
 *     pwrite, pwrite64, write     with ENOSPC   while the file named by $FAIL_WRITE is there
 *
 * for every file whose path contains $FAIL_FILES. All else goes to the real calls.
 */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static int fails(const char *variable, int descriptor) {
    const char *switch_path = getenv(variable), *files = getenv("FAIL_FILES");
    char link[64], path[4096];
    ssize_t length;
    int before = errno, found = 0;

    if (switch_path != NULL && files != NULL && access(switch_path, F_OK) == 0) {
        snprintf(link, sizeof link, "/proc/self/fd/%d", descriptor);
        length = readlink(link, path, sizeof path - 1);
        if (length > 0) {
            path[length] = '\0';
            found = strstr(path, files) != NULL;
        }
    }
    errno = before;
    return found;
}

static int refuse(int error) {
    errno = error;
    return -1;
}

int fsync(int descriptor) {
    static int (*real)(int);
    if (real == NULL) real = (int (*)(int))dlsym(RTLD_NEXT, "fsync");
    return fails("FAIL_SYNC", descriptor) ? refuse(EIO) : real(descriptor);
}

int fdatasync(int descriptor) {
    static int (*real)(int);
    if (real == NULL) real = (int (*)(int))dlsym(RTLD_NEXT, "fdatasync");
    return fails("FAIL_SYNC", descriptor) ? refuse(EIO) : real(descriptor);
}

ssize_t write(int descriptor, const void *bytes, size_t count) {
    static ssize_t (*real)(int, const void *, size_t);
    if (real == NULL) real = (ssize_t (*)(int, const void *, size_t))dlsym(RTLD_NEXT, "write");
    return fails("FAIL_WRITE", descriptor) ? refuse(ENOSPC) : real(descriptor, bytes, count);
}

ssize_t pwrite(int descriptor, const void *bytes, size_t count, off_t offset) {
    static ssize_t (*real)(int, const void *, size_t, off_t);
    if (real == NULL) real = (ssize_t (*)(int, const void *, size_t, off_t))dlsym(RTLD_NEXT, "pwrite");
    return fails("FAIL_WRITE", descriptor) ? refuse(ENOSPC) : real(descriptor, bytes, count, offset);
}

ssize_t pwrite64(int descriptor, const void *bytes, size_t count, off64_t offset) {
    static ssize_t (*real)(int, const void *, size_t, off64_t);
    if (real == NULL) real = (ssize_t (*)(int, const void *, size_t, off64_t))dlsym(RTLD_NEXT, "pwrite64");
    return fails("FAIL_WRITE", descriptor) ? refuse(ENOSPC) : real(descriptor, bytes, count, offset);
}
