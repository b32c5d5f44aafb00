/*
 * A raw HTTP/1.1 client: what moving bytes over sockets costs at least.
 *
 *   http-load PORT CONNECTIONS REPEAT [CA-FILE] < PLAN
 *
 * PLAN has a line a request, `METHOD TARGET OFFSET LENGTH`: a GET of LENGTH bytes from OFFSET (of all for LENGTH 0), or a PUT of LENGTH
 * bytes. The plan is gone through REPEAT times, by so many connections, each with one request at a time. With a CA-FILE over TLS. Bodies
 * are counted and dropped. The time from a request to the first byte of its answer is told as firstByteMedianMs and firstByteP99Ms. Any answer but a success of the expected length ends the program with status 1.
 */
#include "common.h"
#include <pthread.h>
#include <stdatomic.h>
#include <strings.h>
#ifdef WITH_TLS
#include <openssl/err.h>
#include <openssl/ssl.h>
#endif

#define HEAD_MAX (16 * KIB)
#define BODY_BUFFER (256 * KIB)
#define PUT_MAX (64 * MIB)
#define REQUESTS_MAX 1000000u
#define LINE_LENGTH_MAX 2048u

struct request {
  bool put;
  char *target;
  uint64_t offset;
  uint64_t length;
};

struct connection {
  int fd;
#ifdef WITH_TLS
  SSL *tls;
#endif
  uint64_t received;
  uint64_t sent;
  struct latencies first_bytes;
};

static struct request *plan;
static uint64_t plan_length;
static uint64_t total;
static atomic_uint_fast64_t next_request;
static uint16_t port;
static uint8_t *put_body;
#ifdef WITH_TLS
static SSL_CTX *tls_context;
#endif

static void read_plan(void) {
  char line[LINE_LENGTH_MAX];
  size_t room = 1024;
  plan = allocate(room * sizeof *plan);
  uint64_t put_max = 0;
  while (fgets(line, sizeof line, stdin) != NULL) {
    char method[8], target[1024], offset[24], length[24];
    if (sscanf(line, "%7s %1023s %23s %23s", method, target, offset, length) != 4) die("not a request: %s", line);
    if (plan_length == REQUESTS_MAX) die("more than %u requests", REQUESTS_MAX);
    if (plan_length == room) {
      room *= 2;
      plan = realloc(plan, room * sizeof *plan);
      if (plan == NULL) die("out of memory");
    }
    struct request *request = &plan[plan_length++];
    *request = (struct request){.put = strcmp(method, "PUT") == 0, .target = strdup(target)};
    if (request->target == NULL) die("out of memory");
    if (!request->put && strcmp(method, "GET") != 0) die("neither GET nor PUT: %s", method);
    request->offset = number(offset, 0, UINT64_MAX / 4);
    request->length = number(length, 0, request->put ? PUT_MAX : UINT64_MAX / 4);
    if (request->put && request->length > put_max) put_max = request->length;
  }
  put_body = allocate(put_max + 1);
  memset(put_body, 0x5a, put_max);
}

static void open_connection(struct connection *connection) {
  connection->fd = connect_loopback(port);
#ifdef WITH_TLS
  if (tls_context == NULL) return;
  connection->tls = SSL_new(tls_context);
  if (connection->tls == NULL || SSL_set_fd(connection->tls, connection->fd) != 1 || SSL_connect(connection->tls) != 1)
    die("TLS: %s", ERR_error_string(ERR_get_error(), NULL));
#endif
}

static size_t take(struct connection *connection, void *into, size_t max) {
  size_t got = 0;
#ifdef WITH_TLS
  if (connection->tls != NULL) {
    if (SSL_read_ex(connection->tls, into, max, &got) != 1) die("the TLS connection ended within an answer");
    return got;
  }
#endif
  got = receive(connection->fd, into, max);
  if (got == 0) die("the connection ended within an answer");
  return got;
}

static void give(struct connection *connection, const void *head, size_t head_length, const void *body,
                 size_t body_length) {
#ifdef WITH_TLS
  if (connection->tls != NULL) {
    size_t written = 0;
    if (SSL_write_ex(connection->tls, head, head_length, &written) != 1) die("SSL_write failed");
    if (body_length > 0 && SSL_write_ex(connection->tls, body, body_length, &written) != 1) die("SSL_write failed");
    return;
  }
#endif
  if (body_length == 0) send_all(connection->fd, head, head_length);
  else send_both(connection->fd, head, head_length, body, body_length);
}

/* The body's length as the head tells it. `head` ends with NUL. */
static uint64_t announced(const char *head) {
  for (const char *line = strstr(head, "\r\n"); line != NULL && line[2] != '\r'; line = strstr(line + 2, "\r\n")) {
    static const char name[] = "Content-Length:";
    if (strncasecmp(line + 2, name, sizeof name - 1) != 0) continue;
    char *end = NULL;
    errno = 0;
    unsigned long long length = strtoull(line + 2 + sizeof name - 1, &end, 10);
    if (errno != 0 || *end != '\r') break;
    return length;
  }
  die("an answer without a length: %.200s", head);
}

static void run_request(struct connection *connection, const struct request *request, char *head, uint8_t *body) {
  char range[80] = "";
  if (!request->put && request->length > 0)
    snprintf(range, sizeof range, "Range: bytes=%" PRIu64 "-%" PRIu64 "\r\n", request->offset,
             request->offset + request->length - 1);
  if (request->put) snprintf(range, sizeof range, "Content-Length: %" PRIu64 "\r\n", request->length);
  const int length = snprintf(head, HEAD_MAX, "%s %s HTTP/1.1\r\nHost: 127.0.0.1:%u\r\n%s\r\n", request->put ? "PUT" : "GET",
                              request->target, (unsigned)port, range);
  if (length < 0 || (size_t)length >= HEAD_MAX) die("a request too long");
  const double asked = clock_seconds(CLOCK_MONOTONIC);
  give(connection, head, (size_t)length, put_body, request->put ? request->length : 0);
  if (request->put) connection->sent += request->length;

  size_t filled = 0;
  char *end = NULL;
  while (end == NULL) {
    if (filled == HEAD_MAX - 1) die("an answer's head too long");
    const size_t more = take(connection, head + filled, HEAD_MAX - 1 - filled);
    if (filled == 0) add_latency(&connection->first_bytes, clock_seconds(CLOCK_MONOTONIC) - asked);
    filled += more;
    head[filled] = '\0';
    end = strstr(head, "\r\n\r\n");
  }
  if (strncmp(head, "HTTP/1.1 20", 11) != 0) die("%s: answered with %.40s", request->target, head);
  const size_t behind = filled - (size_t)(end + 4 - head);
  const uint64_t size = announced(head);
  if (!request->put && request->length > 0 && size != request->length)
    die("%s: expected %" PRIu64 " bytes, got %" PRIu64, request->target, request->length, size);
  if (behind > size) die("more than one answer");
  for (uint64_t left = size - behind; left > 0;)
    left -= take(connection, body, left < BODY_BUFFER ? (size_t)left : BODY_BUFFER);
  connection->received += size;
}

static void *serve(void *argument) {
  struct connection *connection = argument;
  char *head = allocate(HEAD_MAX);
  uint8_t *body = allocate(BODY_BUFFER);
  open_connection(connection);
  for (;;) {
    const uint64_t index = atomic_fetch_add(&next_request, 1);
    if (index >= total) break;
    run_request(connection, &plan[index % plan_length], head, body);
  }
  close(connection->fd);
  free(head);
  free(body);
  return NULL;
}

static void trust(const char *file) {
#ifdef WITH_TLS
  tls_context = SSL_CTX_new(TLS_client_method());
  if (tls_context == NULL || SSL_CTX_load_verify_locations(tls_context, file, NULL) != 1) die("cannot read %s", file);
  SSL_CTX_set_verify(tls_context, SSL_VERIFY_PEER, NULL);
#else
  die("%s: made without TLS (install libssl-dev)", file);
#endif
}

int main(int argc, char **argv) {
  if (argc != 4 && argc != 5) die("usage: http-load PORT CONNECTIONS REPEAT [CA-FILE] < PLAN");
  port = (uint16_t)number(argv[1], 1, UINT16_MAX);
  const size_t connections = number(argv[2], 1, 256);
  const uint64_t repeat = number(argv[3], 1, 1000000);
  if (argc == 5) trust(argv[4]);
  read_plan();
  if (plan_length == 0) die("an empty plan");
  total = plan_length * repeat;

  struct connection *all = allocate(connections * sizeof *all);
  pthread_t *threads = allocate(connections * sizeof *threads);
  const double began = clock_seconds(CLOCK_MONOTONIC);
  const double cpu_before = cpu_seconds();
  for (size_t index = 0; index < connections; index++)
    if (pthread_create(&threads[index], NULL, serve, &all[index]) != 0) die("cannot start a thread");
  uint64_t received = 0, sent = 0;
  struct latencies first_bytes = {0};
  for (size_t index = 0; index < connections; index++) {
    if (pthread_join(threads[index], NULL) != 0) die("cannot join a thread");
    received += all[index].received;
    sent += all[index].sent;
    for (size_t at = 0; at < all[index].first_bytes.count; at++)
      add_latency(&first_bytes, all[index].first_bytes.seconds[at]);
  }
  printf("{\"requests\":%" PRIu64 ",\"bytesIn\":%" PRIu64 ",\"bytesOut\":%" PRIu64 ",\"seconds\":%.6f,\"cpuSeconds\":%.6f,\"firstByteMedianMs\":%.4f,\"firstByteP99Ms\":%.4f}\n",
         total, received, sent, clock_seconds(CLOCK_MONOTONIC) - began, cpu_seconds() - cpu_before,
         latency_ms(&first_bytes, 0.5), latency_ms(&first_bytes, 0.99));
  return 0;
}
