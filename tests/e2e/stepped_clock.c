/*
 * A wall clock that is set by hand: preloaded into the daemon, it adds to CLOCK_REALTIME the seconds that stand in the file named by
 * $WALL_STEP. The other clocks are left alone, as they are when an operator or NTP sets the time.
 */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>

static long step(void) {
    const char *path = getenv("WALL_STEP");
    char text[32] = "";
    int before = errno, file = path == NULL ? -1 : open(path, O_RDONLY | O_CLOEXEC);

    if (file >= 0) {
        if (read(file, text, sizeof text - 1) < 0) text[0] = '\0';
        close(file);
    }
    errno = before;
    return atol(text);
}

int clock_gettime(clockid_t clock, struct timespec *now) {
    static int (*real)(clockid_t, struct timespec *);
    int answer;
    if (real == NULL) real = (int (*)(clockid_t, struct timespec *))dlsym(RTLD_NEXT, "clock_gettime");
    answer = real(clock, now);
    if (answer == 0 && clock == CLOCK_REALTIME) now->tv_sec += step();
    return answer;
}
