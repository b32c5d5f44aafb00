/*
 * An NFSv3 client that costs little: one TCP connection, so many calls in flight, answers looked at in place.
 *
 *   nfs-load PORT null COUNT DEPTH
 *   nfs-load PORT getattr HANDLE COUNT DEPTH
 *   nfs-load PORT access HANDLE COUNT DEPTH                       asks for all rights
 *   nfs-load PORT lookup DIRECTORY COUNT DEPTH                    of f-0
 *   nfs-load PORT read HANDLE SEED SIZE TRANSFER DEPTH            front to back, every byte compared
 *   nfs-load PORT random HANDLE SEED SIZE COUNT DEPTH ORDER       pages of 4 KiB, ORDER seeds the places, every byte compared
 *   nfs-load PORT write HANDLE SEED SIZE TRANSFER DEPTH           UNSTABLE, then COMMIT
 *   nfs-load PORT create DIRECTORY COUNT SIZE DEPTH               files f-0, f-1, ...: CREATE, WRITE, COMMIT
 *   nfs-load PORT remove DIRECTORY COUNT DEPTH                    REMOVE of these
 *   nfs-load PORT files DIRECTORY COUNT SIZE DEPTH                LOOKUP, READ; file f-N is of seed N, every byte compared
 *   nfs-load PORT turns DIRECTORY COUNT SIZE TRANSFER DEPTH       READDIRPLUS, all of it, then file after file in its order: LOOKUP, READs
 *   nfs-load PORT walk DIRECTORY COUNT SIZE DEPTH ORDER           READDIRPLUS, all of it, then as files: in its order, or shuffled by ORDER
 *   nfs-load PORT list DIRECTORY                                  READDIRPLUS, all of it
 *   nfs-load PORT names DIRECTORY                                 READDIR, all of it
 *   nfs-load PORT stream SIZE                                     no RPC: as many bytes, in records of 1 MiB, until the other side closes
 *
 * HANDLE and DIRECTORY in hex. What comparing costs is told apart, as checkSeconds; what READs took from call to reply, in milliseconds,
 * as readMedianMs and readP99Ms. A wrong byte, and any status but NFS3_OK and JUKEBOX
 * (which is asked again), ends the program with status 1.
 */
#include "pattern.h"
#include "rpc.h"

enum procedure { NULL_CALL = 0, GETATTR = 1, LOOKUP = 3, ACCESS = 4, READ = 6, WRITE = 7, CREATE = 8, REMOVE = 12, READDIR = 16, READDIRPLUS = 17, COMMIT = 21 };
enum mode {
  MODE_NULL, MODE_GETATTR, MODE_READ, MODE_RANDOM, MODE_WRITE, MODE_CREATE, MODE_FILES, MODE_TURNS, MODE_LIST, MODE_ACCESS, MODE_LOOKUP,
  MODE_WALK, MODE_REMOVE, MODE_NAMES
};

#define NFS3_OK 0u
#define NFS3ERR_JUKEBOX 10008u
#define ATTRIBUTES 84u
#define ACCESS_ALL 0x3fu
#define ACCEPTED_HEAD 28u /* xid, REPLY, accepted, verifier without body, SUCCESS; and the status behind it */
#define DEPTH_MAX 64u
#define JUKEBOX_WAIT_US 200000
#define LIST_BYTES (64 * KIB)

struct handle {
  uint32_t length;
  uint8_t bytes[HANDLE_MAX];
};

/* A job: one call, or one after the other. */
struct slot {
  enum procedure procedure;
  struct handle file;
  uint32_t seed;
  uint64_t index, offset, wanted;
  uint64_t cookie;
  uint8_t verifier[8];
  double sent; /* of a READ, monotonic seconds */
};

static struct wire wire;
static struct slot slots[DEPTH_MAX];
static enum mode mode;
static struct handle target;
static uint64_t jobs, begun, size, transfer, turns, random_state;
static uint32_t seed, calls;
static uint8_t *data;
static uint64_t bytes_moved, jukebox, answered, entries;
/* Numbers of files as they are listed; kept where there is room for them. */
static uint64_t *walk_order, walk_files, walk_listed;
static double check_seconds;
static struct latencies reads;

static struct handle handle_from(const char *hex) {
  struct handle handle = {0};
  const size_t length = strlen(hex);
  if (length % 2 != 0 || length > 2 * HANDLE_MAX) die("not a handle: %s", hex);
  for (size_t at = 0; at < length; at += 2) {
    const char digits[3] = {hex[at], hex[at + 1], '\0'};
    char *end = NULL;
    handle.bytes[at / 2] = (uint8_t)strtoul(digits, &end, 16);
    if (end != digits + 2) die("not a handle: %s", hex);
  }
  handle.length = (uint32_t)(length / 2);
  return handle;
}

static uint64_t random_next(void) {
  random_state += 0x9e3779b97f4a7c15u; /* splitmix64 */
  uint64_t mixed = random_state;
  mixed = (mixed ^ (mixed >> 30)) * 0xbf58476d1ce4e5b9u;
  mixed = (mixed ^ (mixed >> 27)) * 0x94d049bb133111ebu;
  return mixed ^ (mixed >> 31);
}

static void put_name(const struct slot *slot) {
  char name[24];
  const int length = snprintf(name, sizeof name, "f-%" PRIu64, slot->index);
  put_opaque(&wire, target.bytes, target.length);
  put_opaque(&wire, name, (size_t)length);
}

/* The data of a WRITE: ground that lies at the same place of its MiB, with the heads of its pages set for this call. */
static void send_write(const struct slot *slot, size_t mark) {
  uint8_t *from = data + slot->offset % MIB;
  for (uint64_t at = 0; at < slot->wanted; at += PAGE) pattern_head(from + at, slot->seed, slot->offset + at);
  end_call(&wire, mark, slot->wanted);
  send_both(wire.fd, wire.out, wire.out_length, from, slot->wanted);
  wire.out_length = 0;
}

static void send_call(struct slot *slot) {
  if (wire.out_length + 1024 > OUT_BYTES) flush(&wire);
  /* The low bits name the slot. */
  const uint32_t xid = (calls++ * DEPTH_MAX) | (uint32_t)(slot - slots);
  const size_t mark = begin_call(&wire, xid, slot->procedure);
  if (slot->procedure == LOOKUP || slot->procedure == CREATE || slot->procedure == REMOVE) put_name(slot);
  else if (slot->procedure != NULL_CALL) put_opaque(&wire, slot->file.bytes, slot->file.length);
  switch (slot->procedure) {
    case READ:
      put64(&wire, slot->offset);
      put32(&wire, (uint32_t)slot->wanted);
      slot->sent = clock_seconds(CLOCK_MONOTONIC);
      break;
    case WRITE:
      put64(&wire, slot->offset);
      put32(&wire, (uint32_t)slot->wanted);
      put32(&wire, 0); /* UNSTABLE */
      put32(&wire, (uint32_t)slot->wanted);
      send_write(slot, mark);
      return;
    case CREATE: /* UNCHECKED; mode 0644; uid, gid, size, atime and mtime not set */
      put32(&wire, 0);
      put32(&wire, 1);
      put32(&wire, 0644);
      for (int field = 0; field < 5; field++) put32(&wire, 0);
      break;
    case COMMIT:
      put64(&wire, 0);
      put32(&wire, 0);
      break;
    case READDIR:
    case READDIRPLUS:
      put64(&wire, slot->cookie);
      if (wire.out_length + 8 > OUT_BYTES) die("calls too long");
      memcpy(wire.out + wire.out_length, slot->verifier, 8);
      wire.out_length += 8;
      if (slot->procedure == READDIRPLUS) put32(&wire, LIST_BYTES);
      put32(&wire, LIST_BYTES);
      break;
    case ACCESS:
      put32(&wire, ACCESS_ALL);
      break;
    case NULL_CALL:
    case GETATTR:
    case LOOKUP:
    case REMOVE:
      break;
  }
  end_call(&wire, mark, 0);
}

/* Gives the slot its next job; false when there is none. */
static bool begin_job(struct slot *slot) {
  if (begun == jobs) return false;
  *slot = (struct slot){.file = target, .seed = seed, .index = begun++};
  switch (mode) {
    case MODE_NULL: slot->procedure = NULL_CALL; break;
    case MODE_GETATTR: slot->procedure = GETATTR; break;
    case MODE_LIST: slot->procedure = READDIRPLUS; break;
    case MODE_NAMES: slot->procedure = READDIR; break;
    case MODE_CREATE: slot->procedure = CREATE; break;
    case MODE_REMOVE: slot->procedure = REMOVE; break;
    case MODE_FILES: slot->procedure = LOOKUP; break;
    case MODE_ACCESS: slot->procedure = ACCESS; break;
    case MODE_LOOKUP:
      slot->procedure = LOOKUP;
      slot->index = 0;
      break;
    case MODE_WALK:
      slot->procedure = LOOKUP;
      slot->index = walk_order[slot->index];
      break;
    case MODE_READ:
    case MODE_TURNS:
    case MODE_WRITE:
      slot->procedure = mode == MODE_WRITE ? WRITE : READ;
      slot->offset = slot->index * transfer;
      slot->wanted = size - slot->offset < transfer ? size - slot->offset : transfer;
      break;
    case MODE_RANDOM:
      slot->procedure = READ;
      slot->offset = random_next() % (size / PAGE) * PAGE;
      slot->wanted = PAGE;
      break;
  }
  send_call(slot);
  return true;
}

static void check(const struct slot *slot, size_t count) {
  const double before = clock_seconds(CLOCK_THREAD_CPUTIME_ID);
  const size_t at = pattern_mismatch(data, count, slot->seed, slot->offset);
  check_seconds += clock_seconds(CLOCK_THREAD_CPUTIME_ID) - before;
  if (at < count) die("wrong byte in file %u at %" PRIu64, slot->seed, slot->offset + at);
}

/* The rest of a READ's reply, `length` bytes behind the status; true when the slot's job is done. */
static bool on_read(struct slot *slot, size_t length) {
  add_latency(&reads, clock_seconds(CLOCK_MONOTONIC) - slot->sent);
  need(&wire, 4);
  const size_t head = 4 + (peek32(&wire, 0) == 0 ? 0 : ATTRIBUTES) + 12;
  if (head > length) die("a reply too short");
  need(&wire, head);
  const uint32_t count = peek32(&wire, head - 12), eof = peek32(&wire, head - 8), data_length = peek32(&wire, head - 4);
  const size_t padded = ((size_t)count + 3) / 4 * 4;
  if (count != data_length || count > slot->wanted || head + padded != length) die("READ: lengths don't agree");
  wire.in_from += head;
  take_bytes(&wire, data, padded);
  check(slot, count);
  bytes_moved += count;
  slot->offset += count;
  slot->wanted -= count;
  if (slot->wanted == 0) return true;
  if (count == 0 || eof != 0) die("file %u ended at %" PRIu64, slot->seed, slot->offset);
  send_call(slot);
  return false;
}

/* A file f-N is listed. */
static void walk_note(const uint8_t *name, size_t length) {
  char digits[24] = {0};
  if (length < 3 || length - 2 >= sizeof digits || walk_listed == walk_files) die("not a file to walk to");
  memcpy(digits, name + 2, length - 2);
  walk_order[walk_listed++] = strtoull(digits, NULL, 10);
}

static bool on_listing(struct slot *slot, struct reply *reply) {
  if (get32(reply) != 0) skip(reply, ATTRIBUTES);
  memcpy(slot->verifier, skip(reply, 8), 8);
  while (get32(reply) != 0) {
    get64(reply); /* fileid */
    const size_t name = get32(reply);
    if (name > 255) die("a name too long");
    const bool dots = (name == 1 || name == 2) && memcmp(reply->at, "..", name) == 0;
    const uint8_t *text = skip(reply, (name + 3) / 4 * 4);
    if (!dots && walk_order != NULL) walk_note(text, name);
    slot->cookie = get64(reply);
    if (slot->procedure == READDIRPLUS) {
      if (get32(reply) != 0) skip(reply, ATTRIBUTES);
      if (get32(reply) != 0) skip(reply, ((size_t)get32(reply) + 3) / 4 * 4);
    }
    if (!dots) entries++;
  }
  if (get32(reply) != 0) return true;
  send_call(slot);
  return false;
}

static struct handle handle_in(struct reply *reply) {
  struct handle handle = {.length = get32(reply)};
  if (handle.length == 0 || handle.length > HANDLE_MAX) die("a handle of %u bytes", handle.length);
  memcpy(handle.bytes, skip(reply, handle.length), handle.length);
  return handle;
}

/* The next call of the slot's job, by the results of the last; true when the job is done. */
static bool on_results(struct slot *slot, struct reply *reply) {
  switch (slot->procedure) {
    case CREATE:
      if (get32(reply) != 1) die("CREATE gave no handle");
      slot->file = handle_in(reply);
      slot->seed = (uint32_t)slot->index;
      slot->procedure = WRITE;
      slot->wanted = size;
      break;
    case LOOKUP:
      slot->file = handle_in(reply);
      if (mode == MODE_LOOKUP) return true;
      slot->seed = (uint32_t)slot->index;
      if (mode == MODE_TURNS) return true;
      slot->procedure = READ;
      slot->wanted = size;
      break;
    case WRITE: {
      for (int half = 0; half < 2; half++) /* wcc_data: size and times before, attributes after */
        if (get32(reply) != 0) skip(reply, half == 0 ? 24 : ATTRIBUTES);
      if (get32(reply) != slot->wanted) die("a WRITE that did not take all");
      bytes_moved += slot->wanted;
      if (mode != MODE_CREATE) return true;
      slot->procedure = COMMIT;
      break;
    }
    case READDIR:
    case READDIRPLUS:
      return on_listing(slot, reply);
    case NULL_CALL:
    case GETATTR:
    case ACCESS:
    case COMMIT:
    case READ:
    case REMOVE:
      return true;
  }
  send_call(slot);
  return false;
}

/* Takes one reply; true when a job is done, and `slot` whose. */
static bool on_reply(struct slot **slot) {
  need(&wire, 4 + 24);
  const uint32_t length = peek32(&wire, 0) & ~LAST_FRAGMENT;
  if ((peek32(&wire, 0) & LAST_FRAGMENT) == 0 || length < 24) die("not a reply in one fragment");
  *slot = &slots[peek32(&wire, 4) % DEPTH_MAX];
  if (peek32(&wire, 8) != 1 || peek32(&wire, 12) != 0 || peek32(&wire, 20) != 0 || peek32(&wire, 24) != 0)
    die("a call was not accepted");
  answered++;
  wire.in_from += 28;
  if ((*slot)->procedure == NULL_CALL) return length == 24 ? true : (die("NULL with results"), false);
  if (length < ACCEPTED_HEAD) die("a reply without a status");
  need(&wire, 4);
  const uint32_t status = peek32(&wire, 0);
  wire.in_from += 4;
  const size_t rest = length - ACCEPTED_HEAD;
  if (status == NFS3_OK && (*slot)->procedure == READ) return on_read(*slot, rest);
  need(&wire, rest);
  struct reply reply = {.at = wire.in + wire.in_from, .left = rest};
  wire.in_from += rest;
  if (status == NFS3ERR_JUKEBOX) {
    jukebox++;
    flush(&wire);
    usleep(JUKEBOX_WAIT_US);
    send_call(*slot);
    return false;
  }
  if (status != NFS3_OK) die("procedure %d was answered with status %u", (int)(*slot)->procedure, status);
  return on_results(*slot, &reply);
}

static void run_jobs(uint64_t depth) {
  uint64_t running = 0;
  while (running < depth && begin_job(&slots[running])) running++;
  while (running > 0) {
    /* What is to be sent waits until everything received has been looked at. */
    if (wire.in_to == wire.in_from) flush(&wire);
    else if (wire.out_length > 0 && wire.in_to - wire.in_from < 32) flush(&wire);
    struct slot *slot = NULL;
    if (on_reply(&slot) && !begin_job(slot)) running--;
  }
}

/* One call with nothing else under way. */
static void call_alone(struct slot *slot) {
  send_call(slot);
  do flush(&wire);
  while (!on_reply(&slot));
}

/* Lists the directory, which has so many files; they are told by walk_order. */
static void list_files(uint64_t files) {
  const enum mode then = mode;
  walk_files = files;
  walk_order = allocate(files * sizeof *walk_order);
  mode = MODE_LIST;
  jobs = 1;
  run_jobs(1);
  if (walk_listed != files) die("%" PRIu64 " files are listed, not %" PRIu64, walk_listed, files);
  mode = then;
  begun = 0;
}

/* Lists the directory, then reads file after file, `depth` READs of one at a time. */
static void take_turns(uint64_t files, uint64_t depth) {
  const struct handle directory = target;
  const uint64_t reads_of_one = jobs;
  list_files(files);
  jobs = reads_of_one;
  for (uint64_t turn = 0; turn < files; turn++) {
    target = directory;
    slots[0] = (struct slot){.procedure = LOOKUP, .file = directory, .index = walk_order[turn]};
    call_alone(&slots[0]);
    target = slots[0].file;
    seed = (uint32_t)walk_order[turn];
    begun = 0;
    run_jobs(depth);
  }
}

/* Lists the directory, then reads its files. */
static void walk(uint64_t files, uint64_t depth) {
  list_files(files);
  for (uint64_t left = files; left > 1 && random_state != 0; left--) {
    const uint64_t other = random_next() % left, moved = walk_order[left - 1];
    walk_order[left - 1] = walk_order[other];
    walk_order[other] = moved;
  }
  jobs = files;
  run_jobs(depth);
}

static void stream(void) {
  const uint32_t mark = htonl(LAST_FRAGMENT | (uint32_t)MIB);
  for (uint64_t at = 0; at < size; at += MIB) send_both(wire.fd, &mark, sizeof mark, data, MIB);
  if (shutdown(wire.fd, SHUT_WR) != 0) die("shutdown: %s", strerror(errno));
  while (receive(wire.fd, data, MIB) > 0) continue;
  bytes_moved = size;
}

static const char *const MODES[] = {"null",  "getattr", "read", "random", "write", "create",
                                    "files", "turns",   "list", "access", "lookup", "walk", "remove", "names"};
static const int ARGUMENTS[] = {2, 3, 5, 6, 5, 4, 4, 5, 1, 3, 3, 5, 3, 1};

/* Takes the arguments behind the mode; calls in flight. */
static uint64_t read_arguments(char **argument) {
  const uint64_t count_max = 100000000, size_max = (uint64_t)1 << 40;
  if (mode != MODE_NULL) target = handle_from(*argument++);
  if (mode == MODE_LIST || mode == MODE_NAMES) return jobs = 1;
  if (mode == MODE_READ || mode == MODE_WRITE || mode == MODE_RANDOM) {
    seed = (uint32_t)number(*argument++, 0, UINT32_MAX);
    size = number(*argument++, PAGE, size_max);
    if (size % PAGE != 0) die("sizes are multiples of %u", PAGE);
  }
  if (mode == MODE_TURNS) {
    turns = number(*argument++, 1, count_max);
    size = number(*argument++, PAGE, size_max);
  }
  if (mode == MODE_READ || mode == MODE_WRITE || mode == MODE_TURNS) {
    transfer = number(*argument++, PAGE, MIB);
    if (MIB % transfer != 0 || transfer % PAGE != 0) die("a transfer is a part of 1 MiB in whole pages");
    jobs = (size + transfer - 1) / transfer;
  } else {
    jobs = number(*argument++, 1, count_max);
  }
  if (mode == MODE_CREATE || mode == MODE_FILES || mode == MODE_WALK) size = number(*argument++, PAGE, MIB);
  if (size % PAGE != 0) die("sizes are multiples of %u", PAGE);
  const uint64_t depth = number(*argument++, 1, DEPTH_MAX);
  if (mode == MODE_RANDOM || mode == MODE_WALK) random_state = number(*argument, 0, UINT32_MAX);
  return depth;
}

int main(int argc, char **argv) {
  if (argc < 4) die("usage: nfs-load PORT MODE ...");
  wire.in = allocate(IN_BYTES);
  wire.out = allocate(OUT_BYTES);
  data = allocate(MIB);
  memcpy(data, pattern_ground(), MIB);
  uint64_t depth = 0;
  const bool streams = strcmp(argv[2], "stream") == 0;
  if (streams) {
    size = number(argv[3], MIB, (uint64_t)1 << 40);
  } else {
    int found = -1;
    for (int each = 0; each <= MODE_NAMES; each++)
      if (strcmp(argv[2], MODES[each]) == 0) found = each;
    if (found < 0 || argc - 3 != ARGUMENTS[found]) die("no such mode, or not its arguments: %s", argv[2]);
    mode = (enum mode)found;
    depth = read_arguments(argv + 3);
  }
  calls = (uint32_t)getpid() * 2654435761u;
  wire.fd = connect_loopback((uint16_t)number(argv[1], 1, UINT16_MAX));

  const double began = clock_seconds(CLOCK_MONOTONIC);
  const double cpu_before = cpu_seconds();
  if (streams) {
    stream();
  } else if (mode == MODE_TURNS) {
    take_turns(turns, depth);
  } else if (mode == MODE_WALK) {
    walk(jobs, depth);
  } else {
    run_jobs(depth);
    if (mode == MODE_WRITE) { /* as a kernel does at close */
      slots[0] = (struct slot){.procedure = COMMIT, .file = target};
      call_alone(&slots[0]);
    }
  }
  printf("{\"calls\":%" PRIu64 ",\"bytes\":%" PRIu64 ",\"entries\":%" PRIu64 ",\"jukebox\":%" PRIu64
         ",\"seconds\":%.6f,\"cpuSeconds\":%.6f,\"checkSeconds\":%.6f,\"readMedianMs\":%.4f,\"readP99Ms\":%.4f}\n",
         answered, bytes_moved, entries, jukebox, clock_seconds(CLOCK_MONOTONIC) - began, cpu_seconds() - cpu_before,
         check_seconds, latency_ms(&reads, 0.5), latency_ms(&reads, 0.99));
  return 0;
}
