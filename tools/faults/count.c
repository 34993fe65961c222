/* Counts the calls of one process that change files or start programs, and kills it at one of them.

   FAULTS_COUNT  a file for the number of calls and, at the end, the name of the last
   FAULTS_AT     the call before which the process is killed (0: none)

   Both are taken out of the environment, so that programs which the process starts go unharmed. */

#define _GNU_SOURCE
#include <dlfcn.h>
#include <fcntl.h>
#include <signal.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <sys/types.h>
#include <unistd.h>

static atomic_long count;
static long at;
static char *file;
static pid_t self;

static void tell(const char *name) {
    FILE *out = fopen(file, "we");
    if (out) {
        fprintf(out, "%ld %s\n", (long)count, name);
        fclose(out);
    }
}

static void counted(const char *name) {
    if (!file || getpid() != self) return;
    if (atomic_fetch_add(&count, 1) + 1 == at) {
        at = 0;
        tell(name);
        kill(self, SIGKILL);
        pause();
    }
}

__attribute__((constructor)) static void begin(void) {
    const char *name = getenv("FAULTS_COUNT"), *number = getenv("FAULTS_AT");
    if (!name) return;
    at = number ? atol(number) : 0;
    self = getpid();
    unsetenv("FAULTS_AT");
    unsetenv("LD_PRELOAD");
    char *copy = malloc(4096);
    snprintf(copy, 4096, "%s", name);
    unsetenv("FAULTS_COUNT");
    file = copy;
}

__attribute__((destructor)) static void end(void) {
    if (file && getpid() == self && !at) {
        tell("end");
        file = NULL;
    }
}

#define REAL(name) ((__typeof__(&name))dlsym(RTLD_NEXT, #name))
#define COUNTED(type, name, parameters, arguments) \
    type name parameters { counted(#name); return REAL(name) arguments; }

int flock(int, int);
int syncfs(int);

COUNTED(int, link, (const char *a, const char *b), (a, b))
COUNTED(int, linkat, (int a, const char *b, int c, const char *d, int e), (a, b, c, d, e))
COUNTED(int, rename, (const char *a, const char *b), (a, b))
COUNTED(int, renameat, (int a, const char *b, int c, const char *d), (a, b, c, d))
COUNTED(int, unlink, (const char *a), (a))
COUNTED(int, unlinkat, (int a, const char *b, int c), (a, b, c))
COUNTED(int, mkdir, (const char *a, mode_t b), (a, b))
COUNTED(int, mkdirat, (int a, const char *b, mode_t c), (a, b, c))
COUNTED(int, rmdir, (const char *a), (a))
COUNTED(int, symlink, (const char *a, const char *b), (a, b))
COUNTED(int, symlinkat, (const char *a, int b, const char *c), (a, b, c))
COUNTED(int, chmod, (const char *a, mode_t b), (a, b))
COUNTED(int, fchmod, (int a, mode_t b), (a, b))
COUNTED(int, fchmodat, (int a, const char *b, mode_t c, int d), (a, b, c, d))
COUNTED(int, chown, (const char *a, uid_t b, gid_t c), (a, b, c))
COUNTED(int, lchown, (const char *a, uid_t b, gid_t c), (a, b, c))
COUNTED(int, utimensat, (int a, const char *b, const struct timespec c[2], int d), (a, b, c, d))
COUNTED(int, ftruncate, (int a, off_t b), (a, b))
COUNTED(int, ftruncate64, (int a, off64_t b), (a, b))
COUNTED(ssize_t, write, (int a, const void *b, size_t c), (a, b, c))
COUNTED(int, fsync, (int a), (a))
COUNTED(int, syncfs, (int a), (a))
COUNTED(int, flock, (int a, int b), (a, b))
COUNTED(pid_t, fork, (void), ())
COUNTED(int, execv, (const char *a, char *const b[]), (a, b))

#define OPENED(name) \
    int name(const char *path, int flags, ...) { \
        va_list rest; \
        va_start(rest, flags); \
        mode_t mode = flags & O_CREAT ? va_arg(rest, mode_t) : 0; \
        va_end(rest); \
        if (flags & (O_CREAT | O_TRUNC | O_WRONLY | O_RDWR)) counted(#name); \
        return REAL(name)(path, flags, mode); \
    }

OPENED(open)
OPENED(open64)
