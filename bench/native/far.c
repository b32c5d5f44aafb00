/*
 * Makes a store far away: passes connections on to it, lets each answer wait, and each direction of a connection have only so many bytes a second.
 *
 *   far PORT WAIT SPEED     the store's port on 127.0.0.1, microseconds to an answer's first byte, bytes a second of a connection (0: any speed);
 *                           prints `port N`, serves 127.0.0.1 until its standard input ends
 *
 * Bodies go from socket to socket inside the kernel (splice), so that what is measured through it has the processor for itself: a proxy that reads and
 * writes every byte is the third of three processes on two cores, and what it can move was the figure.
 *
 * Two threads for each connection, one for each direction. Nothing is understood but where a head ends, by one request at a time on a connection.
 */
#include "common.h"
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>

#define HEAD_MAX (16 * KIB)
/* In a pipe at a time, where the system allows it: a page takes one of its places, whatever it holds. */
#define PIPE_BYTES MIB
/* Paced bodies go on in pieces of 10 ms, and no larger than this. */
#define PIECE_MAX (64 * KIB)
#define PIECE_SECONDS 0.01
/* Timers are late by this much on a busy machine: so much is caught up with, while bytes are flowing. */
#define CATCH_UP_SECONDS 0.25

struct line;

/* One direction. */
struct half {
  struct line *line;
  int from, to;
  bool answers;
  /* What comes next is a head: told by the other direction, before the bytes that ask for it. */
  atomic_bool at_head;
  /* When all that was passed has had its time. */
  double free_at;
};

struct line {
  struct half up, down;
  atomic_int halves;
};

static uint16_t store_port;
static double wait_seconds;
static double bytes_a_second;

static void sleep_until(double at) {
  const struct timespec time = {.tv_sec = (time_t)at, .tv_nsec = (long)((at - (double)(time_t)at) * 1e9)};
  while (clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &time, NULL) == EINTR) continue;
}

/* All of `length` bytes that lie in the pipe; false when the other side is gone. */
static bool drain(int pipe, int to, size_t length) {
  while (length > 0) {
    const ssize_t sent = splice(pipe, NULL, to, NULL, length, SPLICE_F_MOVE);
    if (sent < 0 && errno == EINTR) continue;
    if (sent <= 0) return false;
    length -= (size_t)sent;
  }
  return true;
}

/* Up to `most` bytes that have come; 0 when one of the sides is gone. */
static size_t pass(struct half *half, const int pipe[2], size_t most, bool paced) {
  ssize_t got;
  do got = splice(half->from, NULL, pipe[1], NULL, most, SPLICE_F_MOVE);
  while (got < 0 && errno == EINTR);
  if (got <= 0) return 0;
  if (paced) {
    const double earliest = clock_seconds(CLOCK_MONOTONIC) - CATCH_UP_SECONDS;
    if (half->free_at < earliest) half->free_at = earliest;
    half->free_at += (double)got / bytes_a_second;
    sleep_until(half->free_at);
  }
  return drain(pipe[0], half->to, (size_t)got) ? (size_t)got : 0;
}

static bool pass_head(struct half *half, const int pipe[2], size_t length) {
  while (length > 0) {
    const size_t passed = pass(half, pipe, length, false);
    if (passed == 0) return false;
    length -= passed;
  }
  return true;
}

/* A head as far as it has come. An answer waits first, unless it only says that the request's body may come. */
static bool head(struct half *half, struct half *other, const int pipe[2]) {
  const double began = clock_seconds(CLOCK_MONOTONIC);
  char bytes[HEAD_MAX];
  const ssize_t got = recv(half->from, bytes, sizeof bytes, MSG_PEEK);
  if (got <= 0) return false;
  const char *end = memmem(bytes, (size_t)got, "\r\n\r\n", 4);
  const size_t length = end == NULL ? (size_t)got : (size_t)(end - bytes) + 4;
  const bool interim = length > 12 && memcmp(bytes, "HTTP/1.1 100", 12) == 0;
  if (!interim) {
    atomic_store(&half->at_head, false);
    atomic_store(&other->at_head, true);
  }
  if (half->answers && !interim) sleep_until(began + wait_seconds);
  /* Time in which nothing flowed is no credit: the first byte of a body is as slow as the last. */
  half->free_at = clock_seconds(CLOCK_MONOTONIC);
  return pass_head(half, pipe, length);
}

static bool step(struct half *half, struct half *other, const int pipe[2]) {
  char byte;
  const ssize_t come = recv(half->from, &byte, 1, MSG_PEEK);
  if (come < 0 && errno == EINTR) return true;
  if (come <= 0) return false;
  if (atomic_load(&half->at_head)) return head(half, other, pipe);
  if (bytes_a_second == 0) return pass(half, pipe, PIPE_BYTES, false) > 0;
  const double piece = bytes_a_second * PIECE_SECONDS;
  return pass(half, pipe, piece > (double)PIECE_MAX ? PIECE_MAX : piece < (double)KIB ? KIB : (size_t)piece, true) > 0;
}

static void *carry(void *argument) {
  struct half *half = argument;
  struct line *line = half->line;
  int pipe[2];
  if (pipe2(pipe, O_CLOEXEC) != 0) die("pipe: %s", strerror(errno));
  /* Fewer places than asked for are smaller steps, and no mistake. */
  (void)fcntl(pipe[1], F_SETPIPE_SZ, (int)PIPE_BYTES);
  while (step(half, half->answers ? &line->up : &line->down, pipe)) continue;
  /* What has been passed is still sent. */
  shutdown(line->up.from, SHUT_RDWR);
  shutdown(line->up.to, SHUT_RDWR);
  close(pipe[0]);
  close(pipe[1]);
  if (atomic_fetch_sub(&line->halves, 1) == 1) {
    close(line->up.from);
    close(line->up.to);
    free(line);
  }
  return NULL;
}

static void begin(int client) {
  const int server = connect_loopback(store_port);
  no_delay(client);
  struct line *line = allocate(sizeof *line);
  line->up = (struct half){.line = line, .from = client, .to = server, .at_head = true};
  line->down = (struct half){.line = line, .from = server, .to = client, .answers = true, .at_head = true};
  line->halves = 2;
  pthread_t thread;
  if (pthread_create(&thread, NULL, carry, &line->up) != 0 || pthread_detach(thread) != 0 ||
      pthread_create(&thread, NULL, carry, &line->down) != 0 || pthread_detach(thread) != 0)
    die("cannot start a thread");
}

static void *wait_for_end(void *argument) {
  char byte;
  while (read(STDIN_FILENO, &byte, 1) > 0) continue;
  _exit(0);
  return argument;
}

int main(int count, char **arguments) {
  if (count != 4) die("usage: far PORT WAIT SPEED");
  store_port = (uint16_t)number(arguments[1], 1, UINT16_MAX);
  wait_seconds = (double)number(arguments[2], 0, 60000000) / 1e6;
  bytes_a_second = (double)number(arguments[3], 0, UINT64_MAX / 2);
  signal(SIGPIPE, SIG_IGN);
  const int listener = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
  struct sockaddr_in address = {.sin_family = AF_INET};
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  socklen_t length = sizeof address;
  if (listener < 0 || bind(listener, (struct sockaddr *)&address, length) != 0 || listen(listener, 512) != 0 ||
      getsockname(listener, (struct sockaddr *)&address, &length) != 0)
    die("cannot listen: %s", strerror(errno));
  pthread_t thread;
  if (pthread_create(&thread, NULL, wait_for_end, NULL) != 0) die("cannot start a thread");
  printf("port %u\n", (unsigned)ntohs(address.sin_port));
  fflush(stdout);
  for (;;) {
    const int fd = accept4(listener, NULL, NULL, SOCK_CLOEXEC);
    if (fd < 0 && (errno == EINTR || errno == ECONNABORTED)) continue;
    if (fd < 0) die("accept: %s", strerror(errno));
    begin(fd);
  }
}
