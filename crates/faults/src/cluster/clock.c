/* A clock that can be set, for one process on Linux.
 *
 * Preloaded into a node, this adds to the time of day what stands in FAULTS_CLOCK: a file of eight
 * bytes, the nanoseconds as a signed integer, mapped so that a change shows at once. Clocks that
 * only measure intervals are left alone, as a machine's are when its date is set.
 *
 * librdkafka waits until a time of day. Such a wait ends when this clock says so, also if it is set
 * meanwhile, as the kernel has it: it is made of short ones. */

#define _GNU_SOURCE
#include <dlfcn.h>
#include <fcntl.h>
#include <stdint.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/time.h>
#include <threads.h>
#include <time.h>
#include <unistd.h>

static const volatile int64_t *shift;
static int (*real_gettime)(clockid_t, struct timespec *);
static int (*real_timedwait)(cnd_t *, mtx_t *, const struct timespec *);

#define SECOND 1000000000
/* How long one of the short waits is. */
#define SLICE (SECOND / 20)

static int64_t to_ns(const struct timespec *time) {
    return (int64_t)time->tv_sec * SECOND + time->tv_nsec;
}

static struct timespec from_ns(int64_t ns) {
    return (struct timespec){.tv_sec = ns / SECOND, .tv_nsec = ns % SECOND};
}

__attribute__((constructor)) static void begin(void) {
    real_gettime = (int (*)(clockid_t, struct timespec *))dlsym(RTLD_NEXT, "clock_gettime");
    real_timedwait = (int (*)(cnd_t *, mtx_t *, const struct timespec *))dlsym(RTLD_NEXT,
                                                                             "cnd_timedwait");
    const char *path = getenv("FAULTS_CLOCK");
    int fd = path ? open(path, O_RDONLY | O_CLOEXEC) : -1;
    if (fd < 0) return;
    void *mapped = mmap(NULL, sizeof *shift, PROT_READ, MAP_SHARED, fd, 0);
    close(fd);
    if (mapped != MAP_FAILED) shift = mapped;
}

int clock_gettime(clockid_t clock, struct timespec *time) {
    /* Somebody may ask before this library has begun. */
    if (!real_gettime) begin();
    int done = real_gettime(clock, time);
    if (done == 0 && shift && (clock == CLOCK_REALTIME || clock == CLOCK_REALTIME_COARSE)) {
        *time = from_ns(to_ns(time) + *shift);
    }
    return done;
}

int cnd_timedwait(cnd_t *condition, mtx_t *mutex, const struct timespec *until) {
    for (;;) {
        struct timespec truth, ours;
        real_gettime(CLOCK_REALTIME, &truth);
        clock_gettime(CLOCK_REALTIME, &ours);
        int64_t left = to_ns(until) - to_ns(&ours);
        int64_t slice = left < SLICE ? left : SLICE;
        struct timespec end = from_ns(to_ns(&truth) + slice);
        int done = real_timedwait(condition, mutex, &end);
        if (done != thrd_timedout || left <= SLICE) return done;
    }
}

int gettimeofday(struct timeval *restrict time, void *restrict zone) {
    (void)zone;
    struct timespec now;
    int done = clock_gettime(CLOCK_REALTIME, &now);
    if (done == 0 && time) {
        time->tv_sec = now.tv_sec;
        time->tv_usec = now.tv_nsec / 1000;
    }
    return done;
}

time_t time(time_t *at) {
    struct timespec now;
    clock_gettime(CLOCK_REALTIME, &now);
    if (at) *at = now.tv_sec;
    return now.tv_sec;
}
