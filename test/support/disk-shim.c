/*
 * Loaded before the C library (LD_PRELOAD): makes the disk of one process slow or refusing. The file named by
 * TBGW_DISK_SHIM is shared memory: byte 0 is the errno with which writes to files named "events.db*" fail (0: they do not),
 * byte 1 the delay of each sync in units of 10 ms.
 */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/types.h>
#include <time.h>
#include <unistd.h>

static volatile unsigned char *control;

__attribute__((constructor)) static void attach(void) {
  const char *path = getenv("TBGW_DISK_SHIM");
  int fd = path == NULL ? -1 : open(path, O_RDWR);
  if (fd >= 0) {
    void *shared = mmap(NULL, 2, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    control = shared == MAP_FAILED ? NULL : shared;
    close(fd);
  }
}

static int refusal(void) { return control == NULL ? 0 : control[0]; }

static int is_store(int fd) {
  char link[64], path[4096];
  snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
  ssize_t length = readlink(link, path, sizeof path - 1);
  path[length < 0 ? 0 : length] = 0;
  return strstr(path, "events.db") != NULL;
}

static int refuses(int fd) {
  int code = refusal();
  if (code == 0 || !is_store(fd)) return 0;
  errno = code;
  return 1;
}

static void delay(void) {
  int units = control == NULL ? 0 : control[1];
  if (units > 0) {
    struct timespec wait = {units / 100, (units % 100) * 10000000L};
    nanosleep(&wait, NULL);
  }
}

#define REAL(name) ((__typeof__(&name))dlsym(RTLD_NEXT, #name))

ssize_t pwrite64(int fd, const void *data, size_t size, off64_t at) {
  return refuses(fd) ? -1 : REAL(pwrite64)(fd, data, size, at);
}

ssize_t write(int fd, const void *data, size_t size) {
  return refuses(fd) ? -1 : REAL(write)(fd, data, size);
}

int ftruncate64(int fd, off64_t size) {
  return refuses(fd) ? -1 : REAL(ftruncate64)(fd, size);
}

int fsync(int fd) {
  delay();
  return REAL(fsync)(fd);
}

int fdatasync(int fd) {
  delay();
  return REAL(fdatasync)(fd);
}

int open64(const char *path, int flags, ...) {
  mode_t mode = 0;
  if (flags & (O_CREAT | __O_TMPFILE)) {
    va_list rest;
    va_start(rest, flags);
    mode = va_arg(rest, mode_t);
    va_end(rest);
  }
  if (refusal() == EROFS && (flags & O_ACCMODE) != O_RDONLY && strstr(path, "events.db") != NULL) {
    errno = EROFS;
    return -1;
  }
  return REAL(open64)(path, flags, mode);
}
