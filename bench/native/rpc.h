/* ONC RPC calls over one TCP connection (RFC 5531): put together in a buffer, replies read through another. */
#ifndef BENCH_RPC_H
#define BENCH_RPC_H

#include "common.h"

#define NFS_PROGRAM 100003u
#define NFS_VERSION 3u
#define LAST_FRAGMENT 0x80000000u
#define HANDLE_MAX 64u
/* Replies with file data are received past this buffer; all others fit. */
#define IN_BYTES (2 * MIB)
/* One recv takes at most this much into the buffer, so that little of a READ's data is copied from it. */
#define IN_CHUNK (64 * KIB)
#define OUT_BYTES (64 * KIB)

struct wire {
  int fd;
  uint8_t *in;
  size_t in_from, in_to;
  uint8_t *out;
  size_t out_length;
};

static inline void put32(struct wire *wire, uint32_t value) {
  if (wire->out_length + 4 > OUT_BYTES) die("calls too long");
  const uint32_t big = htonl(value);
  memcpy(wire->out + wire->out_length, &big, 4);
  wire->out_length += 4;
}

static inline void put64(struct wire *wire, uint64_t value) {
  put32(wire, (uint32_t)(value >> 32));
  put32(wire, (uint32_t)value);
}

/* A variable-length opaque or string, padded. */
static inline void put_opaque(struct wire *wire, const void *bytes, size_t length) {
  const size_t padded = (length + 3) / 4 * 4;
  put32(wire, (uint32_t)length);
  if (wire->out_length + padded > OUT_BYTES) die("calls too long");
  memset(wire->out + wire->out_length, 0, padded);
  memcpy(wire->out + wire->out_length, bytes, length);
  wire->out_length += padded;
}

/* Begins a call by AUTH_SYS as root; where its record mark stands. */
static inline size_t begin_call(struct wire *wire, uint32_t xid, uint32_t procedure) {
  const size_t mark = wire->out_length;
  put32(wire, 0);
  put32(wire, xid);
  put32(wire, 0); /* CALL */
  put32(wire, 2); /* RPC version */
  put32(wire, NFS_PROGRAM);
  put32(wire, NFS_VERSION);
  put32(wire, procedure);
  put32(wire, 1); /* AUTH_SYS: stamp, machine name, uid, gid, no further gids */
  put32(wire, 28);
  put32(wire, 0);
  put_opaque(wire, "bench", 5);
  put32(wire, 0);
  put32(wire, 0);
  put32(wire, 0);
  put64(wire, 0); /* verifier: AUTH_NONE, empty */
  return mark;
}

/* Ends the call that began at `mark`; `more` bytes of it are sent behind the buffer. */
static inline void end_call(struct wire *wire, size_t mark, size_t more) {
  const uint32_t big = htonl(LAST_FRAGMENT | (uint32_t)(wire->out_length - mark - 4 + more));
  memcpy(wire->out + mark, &big, 4);
}

static inline void flush(struct wire *wire) {
  send_all(wire->fd, wire->out, wire->out_length);
  wire->out_length = 0;
}

/* Waits until `count` bytes stand in the buffer from `in_from` on. */
static inline void need(struct wire *wire, size_t count) {
  if (count > IN_BYTES) die("a reply of %zu bytes", count);
  if (wire->in_to - wire->in_from >= count) return;
  if (wire->in_from + count > IN_BYTES || wire->in_from == wire->in_to) {
    memmove(wire->in, wire->in + wire->in_from, wire->in_to - wire->in_from);
    wire->in_to -= wire->in_from;
    wire->in_from = 0;
  }
  while (wire->in_to - wire->in_from < count) {
    const size_t room = IN_BYTES - wire->in_to;
    const size_t got = receive(wire->fd, wire->in + wire->in_to, room < IN_CHUNK ? room : IN_CHUNK);
    if (got == 0) die("the daemon closed the connection");
    wire->in_to += got;
  }
}

static inline uint32_t peek32(const struct wire *wire, size_t at) {
  uint32_t big;
  memcpy(&big, wire->in + wire->in_from + at, 4);
  return ntohl(big);
}

/* The next `length` bytes of the stream, past the buffer as far as they aren't in it. */
static inline void take_bytes(struct wire *wire, uint8_t *into, size_t length) {
  const size_t held = wire->in_to - wire->in_from;
  const size_t copied = held < length ? held : length;
  memcpy(into, wire->in + wire->in_from, copied);
  wire->in_from += copied;
  for (size_t at = copied; at < length;) {
    const size_t got = receive(wire->fd, into + at, length - at);
    if (got == 0) die("the daemon closed the connection");
    at += got;
  }
}

/* A reply, looked at in place. Reading beyond its end ends the program. */
struct reply {
  const uint8_t *at;
  size_t left;
};

static inline const uint8_t *skip(struct reply *reply, size_t count) {
  if (count > reply->left) die("a reply too short");
  const uint8_t *at = reply->at;
  reply->at += count;
  reply->left -= count;
  return at;
}

static inline uint32_t get32(struct reply *reply) {
  uint32_t big;
  memcpy(&big, skip(reply, 4), 4);
  return ntohl(big);
}

static inline uint64_t get64(struct reply *reply) {
  const uint64_t high = get32(reply);
  return high << 32 | get32(reply);
}

#endif
