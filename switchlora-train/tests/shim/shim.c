/* A file system that lacks or refuses something, for the tests: LD_PRELOAD=shim.so SHIM=CALL:ERRNO[,CALL:ERRNO ...].

   The calls that write what must last: flock, fsync and fdatasync of files (fsync, fdatasync) and of folders (fsyncdir), opening
   a folder (opendir), rename of files (rename) and of folders (renamedir), linkat, ftruncate, posix_fadvise, write. Only files
   below the folder $SHIM_BELOW are affected. ERRNO is a number. */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

/* The errno of a call, or 0. */
static int fault(const char *call) {
    const char *shim = getenv("SHIM");
    size_t length = strlen(call);
    while (shim && *shim) {
        if (strncmp(shim, call, length) == 0 && shim[length] == ':')
            return atoi(shim + length + 1);
        shim = strchr(shim, ',');
        if (shim)
            shim++;
    }
    return 0;
}

static int below(const char *path) {
    const char *folder = getenv("SHIM_BELOW");
    return folder && strncmp(path, folder, strlen(folder)) == 0;
}

static int concerns(int fd) {
    char link[64], path[PATH_MAX];
    snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
    ssize_t length = readlink(link, path, sizeof path - 1);
    if (length < 0)
        return 0;
    path[length] = 0;
    return below(path);
}

static int named(const char *path) {
    char whole[PATH_MAX], folder[PATH_MAX];
    if (path[0] == '/')
        return below(path);
    if (!getcwd(folder, sizeof folder))
        return 0;
    snprintf(whole, sizeof whole, "%.2000s/%.2000s", folder, path);
    return below(whole);
}

static int is_folder(int fd) {
    struct stat st;
    return fstat(fd, &st) == 0 && S_ISDIR(st.st_mode);
}

static int is_folder_at(const char *path) {
    struct stat st;
    return stat(path, &st) == 0 && S_ISDIR(st.st_mode);
}

#define FAIL(call, when)                                                                                               \
    do {                                                                                                               \
        int number = fault(call);                                                                                      \
        if (number && (when)) {                                                                                        \
            errno = number;                                                                                            \
            return -1;                                                                                                 \
        }                                                                                                              \
    } while (0)
#define REAL(type, name, ...) ((type (*)(__VA_ARGS__))dlsym(RTLD_NEXT, name))

int flock(int fd, int operation) {
    FAIL("flock", concerns(fd));
    return REAL(int, "flock", int, int)(fd, operation);
}

int fsync(int fd) {
    int folder = is_folder(fd);
    FAIL("fsyncdir", folder && concerns(fd));
    FAIL("fsync", !folder && concerns(fd));
    return REAL(int, "fsync", int)(fd);
}

int fdatasync(int fd) {
    FAIL("fdatasync", concerns(fd));
    return REAL(int, "fdatasync", int)(fd);
}

static int opened(const char *name, const char *path, int flags, mode_t mode) {
    FAIL("opendir", !(flags & O_DIRECTORY) && named(path) && is_folder_at(path));
    return REAL(int, name, const char *, int, mode_t)(path, flags, mode);
}

int open64(const char *path, int flags, ...) {
    va_list rest;
    va_start(rest, flags);
    mode_t mode = flags & (O_CREAT | O_TMPFILE) ? va_arg(rest, mode_t) : 0;
    va_end(rest);
    return opened("open64", path, flags, mode);
}

int open(const char *path, int flags, ...) {
    va_list rest;
    va_start(rest, flags);
    mode_t mode = flags & (O_CREAT | O_TMPFILE) ? va_arg(rest, mode_t) : 0;
    va_end(rest);
    return opened("open", path, flags, mode);
}

int rename(const char *from, const char *to) {
    FAIL("renamedir", named(from) && is_folder_at(from));
    FAIL("rename", named(from) && !is_folder_at(from));
    return REAL(int, "rename", const char *, const char *)(from, to);
}

int linkat(int from_folder, const char *from, int to_folder, const char *to, int flags) {
    FAIL("linkat", named(from));
    return REAL(int, "linkat", int, const char *, int, const char *, int)(from_folder, from, to_folder, to, flags);
}

int ftruncate64(int fd, off64_t length) {
    FAIL("ftruncate", concerns(fd));
    return REAL(int, "ftruncate64", int, off64_t)(fd, length);
}

int posix_fadvise(int fd, off_t offset, off_t length, int advice) {
    int number = fault("posix_fadvise");
    if (number && concerns(fd))
        return number;
    return REAL(int, "posix_fadvise", int, off_t, off_t, int)(fd, offset, length, advice);
}

ssize_t write(int fd, const void *bytes, size_t count) {
    FAIL("write", concerns(fd));
    return REAL(ssize_t, "write", int, const void *, size_t)(fd, bytes, count);
}
