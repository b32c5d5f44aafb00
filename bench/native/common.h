/* What the programs of bench/native share: failing, numbers, clocks, sockets. Linux, glibc. */
#ifndef BENCH_COMMON_H
#define BENCH_COMMON_H

#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <inttypes.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/uio.h>
#include <time.h>
#include <unistd.h>

#define KIB ((size_t)1024)
#define MIB (1024 * KIB)

__attribute__((noreturn, format(printf, 1, 2))) static inline void die(const char *format, ...) {
  va_list arguments;
  va_start(arguments, format);
  vfprintf(stderr, format, arguments);
  va_end(arguments);
  fputc('\n', stderr);
  _exit(1);
}

/* A decimal number from `min` to `max`, nothing behind it. */
static inline uint64_t number(const char *text, uint64_t min, uint64_t max) {
  char *end = NULL;
  errno = 0;
  unsigned long long value = strtoull(text, &end, 10);
  if (errno != 0 || end == text || *end != '\0' || text[0] == '-' || value < min || value > max)
    die("expected a number from %" PRIu64 " to %" PRIu64 ", got %s", min, max, text);
  return value;
}

static inline void *allocate(size_t bytes) {
  void *memory = calloc(1, bytes);
  if (memory == NULL) die("out of memory");
  return memory;
}

static inline double clock_seconds(clockid_t id) {
  struct timespec now;
  if (clock_gettime(id, &now) != 0) die("clock_gettime: %s", strerror(errno));
  return (double)now.tv_sec + (double)now.tv_nsec / 1e9;
}

/* CPU seconds of this process, user and kernel. */
static inline double cpu_seconds(void) {
  struct rusage usage;
  if (getrusage(RUSAGE_SELF, &usage) != 0) die("getrusage: %s", strerror(errno));
  return (double)(usage.ru_utime.tv_sec + usage.ru_stime.tv_sec) +
         (double)(usage.ru_utime.tv_usec + usage.ru_stime.tv_usec) / 1e6;
}

/* How long things took, in seconds. */
struct latencies {
  double *seconds;
  size_t count, room;
};

static inline void add_latency(struct latencies *all, double seconds) {
  if (all->count == all->room) {
    all->room = all->room == 0 ? 1024 : 2 * all->room;
    all->seconds = realloc(all->seconds, all->room * sizeof *all->seconds);
    if (all->seconds == NULL) die("out of memory");
  }
  all->seconds[all->count++] = seconds;
}

static inline int compare_seconds(const void *a, const void *b) {
  const double left = *(const double *)a, right = *(const double *)b;
  return (left > right) - (left < right);
}

/* The quantile `part` of 0 to 1, in milliseconds; 0 of none. */
static inline double latency_ms(struct latencies *all, double part) {
  if (all->count == 0) return 0;
  qsort(all->seconds, all->count, sizeof *all->seconds, compare_seconds);
  return 1000 * all->seconds[(size_t)(part * (double)(all->count - 1))];
}

static inline void no_delay(int fd) {
  int on = 1;
  if (setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on) != 0) die("TCP_NODELAY: %s", strerror(errno));
}

static inline int connect_loopback(uint16_t port) {
  int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
  if (fd < 0) die("socket: %s", strerror(errno));
  struct sockaddr_in address = {.sin_family = AF_INET, .sin_port = htons(port)};
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  if (connect(fd, (struct sockaddr *)&address, sizeof address) != 0)
    die("connect to 127.0.0.1:%u: %s", (unsigned)port, strerror(errno));
  no_delay(fd);
  return fd;
}

/* Bytes received, at least one; 0 at the end of the stream. */
static inline size_t receive(int fd, void *into, size_t max) {
  for (;;) {
    ssize_t got = recv(fd, into, max, 0);
    if (got >= 0) return (size_t)got;
    if (errno != EINTR) die("recv: %s", strerror(errno));
  }
}

/* False when the other side is gone. */
static inline bool try_send(int fd, const void *from, size_t length) {
  for (const uint8_t *at = from; length > 0;) {
    ssize_t sent = send(fd, at, length, MSG_NOSIGNAL);
    if (sent < 0 && errno == EINTR) continue;
    if (sent < 0) return false;
    at += sent;
    length -= (size_t)sent;
  }
  return true;
}

static inline void send_all(int fd, const void *from, size_t length) {
  if (!try_send(fd, from, length)) die("send: %s", strerror(errno));
}

/* Two pieces as one packet where they fit. */
static inline void send_both(int fd, const void *head, size_t head_length, const void *body, size_t body_length) {
  struct iovec pieces[2] = {{.iov_base = (void *)(uintptr_t)head, .iov_len = head_length},
                            {.iov_base = (void *)(uintptr_t)body, .iov_len = body_length}};
  struct msghdr message = {.msg_iov = pieces, .msg_iovlen = 2};
  ssize_t sent;
  do sent = sendmsg(fd, &message, MSG_NOSIGNAL);
  while (sent < 0 && errno == EINTR);
  if (sent < 0) die("sendmsg: %s", strerror(errno));
  size_t done = (size_t)sent;
  if (done < head_length) {
    send_all(fd, (const uint8_t *)head + done, head_length - done);
    done = head_length;
  }
  done -= head_length;
  send_all(fd, (const uint8_t *)body + done, body_length - done);
}

#endif
