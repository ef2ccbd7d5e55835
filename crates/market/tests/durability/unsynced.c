/* A disk that forgets what was not synced, for one process on Linux.
 *
 * Preloaded into a node, this notes before each change of a file below UNSYNCED_ROOT what was there
 * before, and throws the notes away once the file has been synced. What the notes hold when the
 * process has been killed is what a machine that lost its power could have lost: `disk.rs` plays
 * them back. The notes are plain files in UNSYNCED_NOTES, outside the root, one per inode:
 *
 *   f<inode>   per change of a file:   offset u64 | size before u64 | n u64 | the n bytes before
 *   d<inode>   per file or directory created in a directory: its name, ended by 0
 *
 * What is created counts as durable once its directory is synced. What is removed or renamed is so
 * at once: that is the harsh order for whoever does it too early. SQLite's `-shm` files are left
 * out: they are mapped, and rebuilt by whoever opens the database first.
 *
 * With UNSYNCED_TRACE, a line per event goes to that file, in the order in which they happened:
 *
 *   write <path> <offset> <bytes>   after the bytes were written
 *   sync <path>                     after everything written to the file before was synced
 *   answer <position>               before a 201 with that `foldline-position` goes out
 *
 * With UNSYNCED_LIE, `fdatasync` says that it has synced, and has not.
 *
 * One lock is held over each change and each sync, so neither happens during another; no lock is
 * held over an answer. System calls are made directly, so nothing here calls itself. */

#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <unistd.h>

_Static_assert(sizeof(long) == 8, "offsets are passed to system calls in one register");

#define PATH_BYTES 4096
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;

static void fail(const char *what) {
    fprintf(stderr, "unsynced: %s: %s\n", what, strerror(errno));
    abort();
}

/* Appends to a file in one write, so that neither a kill nor another thread tears it. */
static void append(const char *path, const void *bytes, size_t n) {
    int fd = syscall(SYS_openat, AT_FDCWD, path, O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC, 0644);
    if (fd < 0 || syscall(SYS_write, fd, bytes, n) != (long)n) fail(path);
    syscall(SYS_close, fd);
}

static void trace(const char *format, ...) {
    const char *path = getenv("UNSYNCED_TRACE");
    if (!path) return;
    char line[PATH_BYTES + 64];
    va_list arguments;
    va_start(arguments, format);
    int n = vsnprintf(line, sizeof line, format, arguments);
    va_end(arguments);
    append(path, line, n);
}

static void notes_path(char *path, char kind, const struct stat *of) {
    const char *notes = getenv("UNSYNCED_NOTES");
    if (!notes) fail("UNSYNCED_NOTES is not set");
    snprintf(path, PATH_BYTES, "%s/%c%lu", notes, kind, (unsigned long)of->st_ino);
}

/* Whether an open file or directory lies below the root; tells its path and its state. */
static int below_root(int fd, char *path, struct stat *state) {
    int before = errno, found = 0;
    const char *root = getenv("UNSYNCED_ROOT");
    if (root && fstat(fd, state) == 0 && (S_ISREG(state->st_mode) || S_ISDIR(state->st_mode))) {
        char link[64];
        snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
        ssize_t n = readlink(link, path, PATH_BYTES - 1);
        path[n < 0 ? 0 : n] = 0;
        size_t length = strlen(root);
        found = n > 0 && strncmp(path, root, length) == 0 && (path[length] == '/' || !path[length])
             && state->st_nlink > 0 && !(n > 4 && strcmp(path + n - 4, "-shm") == 0);
    }
    errno = before;
    return found;
}

/* Notes what a file holds in a range, and how long it is. */
static void note(int fd, const struct stat *state, uint64_t offset, uint64_t length) {
    uint64_t size = state->st_size;
    uint64_t n = offset >= size ? 0 : length < size - offset ? length : size - offset;
    uint64_t head[3] = {offset, size, n};
    char *bytes = malloc(sizeof head + n), path[PATH_BYTES], link[64];
    if (!bytes) fail("memory");
    memcpy(bytes, head, sizeof head);
    if (n) {
        /* The descriptor may be open for writing only. */
        snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
        int reader = syscall(SYS_openat, AT_FDCWD, link, O_RDONLY | O_CLOEXEC);
        if (reader < 0 || pread(reader, bytes + sizeof head, n, offset) != (ssize_t)n) fail(link);
        syscall(SYS_close, reader);
    }
    notes_path(path, 'f', state);
    append(path, bytes, sizeof head + n);
    free(bytes);
}

/* Runs a system call that writes `length` bytes, at the descriptor's own place if `at` is -1. */
#define CHANGE(fd, at, length, call)                                                             \
    do {                                                                                         \
        char path[PATH_BYTES];                                                                   \
        struct stat state;                                                                       \
        if (!below_root(fd, path, &state)) return call;                                          \
        pthread_mutex_lock(&lock);                                                               \
        fstat(fd, &state);                                                                       \
        off_t offset = fcntl(fd, F_GETFL) & O_APPEND ? state.st_size                             \
                     : (at) < 0 ? lseek(fd, 0, SEEK_CUR) : (at);                                 \
        note(fd, &state, offset, length);                                                        \
        long done = call;                                                                        \
        int error = errno;                                                                       \
        if (done > 0) trace("write %s %ld %ld\n", path, (long)offset, done);                     \
        pthread_mutex_unlock(&lock);                                                             \
        errno = error;                                                                           \
        return done;                                                                             \
    } while (0)

static size_t total(const struct iovec *parts, int count) {
    size_t bytes = 0;
    for (int i = 0; i < count; i++) bytes += parts[i].iov_len;
    return bytes;
}

/* Traces an answer of 201; hyper writes its head in one piece. */
static void answer(const char *head, size_t n) {
    static const char created[] = "HTTP/1.1 201", name[] = "foldline-position: ";
    int before = errno;
    if (n > sizeof created && memcmp(head, created, sizeof created - 1) == 0) {
        const char *at = memmem(head, n, name, sizeof name - 1);
        at = at ? at + sizeof name - 1 : "?\r";
        trace("answer %.*s\n", (int)strcspn(at, "\r\n"), at);
    }
    errno = before;
}

ssize_t write(int fd, const void *bytes, size_t n) {
    answer(bytes, n);
    CHANGE(fd, -1, n, syscall(SYS_write, fd, bytes, n));
}

ssize_t writev(int fd, const struct iovec *parts, int count) {
    if (count > 0) answer(parts->iov_base, parts->iov_len);
    CHANGE(fd, -1, total(parts, count), syscall(SYS_writev, fd, parts, count));
}

ssize_t pwrite(int fd, const void *bytes, size_t n, off_t at) {
    CHANGE(fd, at, n, syscall(SYS_pwrite64, fd, bytes, n, at));
}

ssize_t pwritev(int fd, const struct iovec *parts, int count, off_t at) {
    CHANGE(fd, at, total(parts, count), syscall(SYS_pwritev, fd, parts, count, at, 0));
}

ssize_t send(int fd, const void *bytes, size_t n, int flags) {
    answer(bytes, n);
    return syscall(SYS_sendto, fd, bytes, n, flags, NULL, 0);
}

ssize_t sendmsg(int fd, const struct msghdr *message, int flags) {
    if (message->msg_iovlen > 0) answer(message->msg_iov->iov_base, message->msg_iov->iov_len);
    return syscall(SYS_sendmsg, fd, message, flags);
}

int ftruncate(int fd, off_t size) {
    char path[PATH_BYTES];
    struct stat state;
    if (!below_root(fd, path, &state)) return syscall(SYS_ftruncate, fd, size);
    pthread_mutex_lock(&lock);
    fstat(fd, &state);
    note(fd, &state, size, size < state.st_size ? state.st_size - size : 0);
    int done = syscall(SYS_ftruncate, fd, size), error = errno;
    pthread_mutex_unlock(&lock);
    errno = error;
    return done;
}

static int sync_file(int fd, long call, int lies) {
    char path[PATH_BYTES], notes[PATH_BYTES];
    struct stat state;
    if (!below_root(fd, path, &state)) return syscall(call, fd);
    if (lies) return 0;
    pthread_mutex_lock(&lock);
    int done = syscall(call, fd), error = errno;
    if (done == 0) {
        notes_path(notes, S_ISDIR(state.st_mode) ? 'd' : 'f', &state);
        unlink(notes);
        trace("sync %s\n", path);
    }
    pthread_mutex_unlock(&lock);
    errno = error;
    return done;
}

int fsync(int fd) { return sync_file(fd, SYS_fsync, 0); }
int fdatasync(int fd) { return sync_file(fd, SYS_fdatasync, getenv("UNSYNCED_LIE") != NULL); }

/* Notes in its directory what has just been created there and is open. */
static void note_creation(int fd) {
    char path[PATH_BYTES], notes[PATH_BYTES];
    struct stat state, parent;
    if (!below_root(fd, path, &state)) return;
    pthread_mutex_lock(&lock);
    /* An earlier file may have had this inode. */
    notes_path(notes, S_ISDIR(state.st_mode) ? 'd' : 'f', &state);
    unlink(notes);
    char *name = strrchr(path, '/');
    *name++ = 0;
    if (stat(path, &parent) != 0) fail(path);
    notes_path(notes, 'd', &parent);
    append(notes, name, strlen(name) + 1);
    pthread_mutex_unlock(&lock);
}

int mkdir(const char *name, mode_t mode) {
    int done = syscall(SYS_mkdirat, AT_FDCWD, name, mode);
    if (done == 0) {
        int fd = syscall(SYS_openat, AT_FDCWD, name, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
        if (fd < 0) fail(name);
        note_creation(fd);
        syscall(SYS_close, fd);
    }
    return done;
}

/* Notes a new file, and what an old one held that is emptied. */
static int open_file(int dir, const char *name, int flags, mode_t mode) {
    int creates = (flags & O_CREAT) && faccessat(dir, name, F_OK, AT_SYMLINK_NOFOLLOW) != 0;
    int empties = !creates && (flags & O_TRUNC);
    int fd = syscall(SYS_openat, dir, name, flags & (empties ? ~O_TRUNC : ~0), mode);
    if (fd >= 0 && creates) note_creation(fd);
    if (fd >= 0 && empties && ftruncate(fd, 0) != 0) fail(name);
    return fd;
}

#define MODE(flags, last)                                                                        \
    mode_t mode = 0;                                                                             \
    va_list arguments;                                                                           \
    va_start(arguments, last);                                                                   \
    if ((flags) & (O_CREAT | __O_TMPFILE)) mode = va_arg(arguments, mode_t);                     \
    va_end(arguments)

int open(const char *name, int flags, ...) {
    MODE(flags, flags);
    return open_file(AT_FDCWD, name, flags, mode);
}

int openat(int dir, const char *name, int flags, ...) {
    MODE(flags, flags);
    return open_file(dir, name, flags, mode);
}

/* The names that programs built with 64-bit offsets call. */
#define ALIAS(of) __attribute__((alias(#of)))
ssize_t pwrite64(int fd, const void *bytes, size_t n, off_t at) ALIAS(pwrite);
ssize_t pwritev64(int fd, const struct iovec *parts, int count, off_t at) ALIAS(pwritev);
int ftruncate64(int fd, off_t size) ALIAS(ftruncate);
int open64(const char *name, int flags, ...) ALIAS(open);
int openat64(int dir, const char *name, int flags, ...) ALIAS(openat);
