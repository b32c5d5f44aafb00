/*
 * The bytes of bench/pattern.ts: each page of a file tells its file (seed), generation and offset, and the rest of it is pseudo-random
 * ground that repeats each MiB.
 */
#ifndef BENCH_PATTERN_H
#define BENCH_PATTERN_H

#include "common.h"

#define PAGE 4096u
#define PAGE_HEAD 16u

_Static_assert(__BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__, "the pattern is little-endian");

static inline const uint8_t *pattern_ground(void) {
  static uint8_t *ground;
  if (ground != NULL) return ground;
  uint8_t *bytes = allocate(MIB);
  uint32_t state = 0x2545f491u;
  for (size_t at = 0; at < MIB; at += 4) {
    state = state * 1664525u + 1013904223u;
    memcpy(bytes + at, &state, 4);
  }
  ground = bytes;
  return ground;
}

/* The first bytes of the page at `offset`. */
static inline void pattern_head(uint8_t *page, uint32_t seed, uint64_t offset) {
  const uint32_t generation = 0;
  const double place = (double)offset;
  memcpy(page, &seed, 4);
  memcpy(page + 4, &generation, 4);
  memcpy(page + 8, &place, 8);
}

/* Where `data` differs from file `seed` at `offset`: an index, or `length` when it is equal. Whole pages of files are meant: none ends
   within the first bytes of a page. */
static inline size_t pattern_mismatch(const uint8_t *data, size_t length, uint32_t seed, uint64_t offset) {
  const uint8_t *ground = pattern_ground();
  for (size_t at = 0; at < length;) {
    const uint64_t page = (offset + at) / PAGE * PAGE;
    const size_t skip = (size_t)(offset + at - page);
    const size_t count = length - at < PAGE - skip ? length - at : PAGE - skip;
    uint8_t head[PAGE_HEAD];
    pattern_head(head, seed, page);
    const size_t in_head = skip >= PAGE_HEAD ? 0 : (count < PAGE_HEAD - skip ? count : PAGE_HEAD - skip);
    if (in_head > 0 && memcmp(data + at, head + skip, in_head) != 0) return at;
    const uint8_t *rest = ground + page % MIB + skip + in_head;
    if (memcmp(data + at + in_head, rest, count - in_head) != 0) return at;
    at += count;
  }
  return length;
}

#endif
