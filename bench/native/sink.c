/*
 * A store that costs little: takes what S3 clients write, counts it and drops it. One bucket, path style, no signatures, no conditions, no
 * checksums: what has been written can be listed, asked for by HEAD and copied, and is zeros when it is read.
 *
 *   sink          prints `port N`, serves 127.0.0.1 until its standard input ends
 *
 *   GET  /-/stats                  counts since the start, CPU seconds of the process
 *   PUT  /-/check                  from now on the bodies of objects `NAME-SEED` are compared with the pattern (pattern.h); what is wrong
 *                                  stands in the stats. Parts are placed by what their first page says, and must join at the end
 *   PUT  /-/trust                  bodies are dropped unseen again
 *
 * A thread for each connection.
 */
#include "objects.h"
#include "pattern.h"
#include <pthread.h>
#include <stdatomic.h>

#define HEAD_MAX (16 * KIB)
#define BODY_BUFFER (256 * KIB)
#define PARTS_MAX 10000u
#define UPLOADS_MAX 4096u

enum operation { PUT_OBJECT, UPLOAD_PART, CREATE_UPLOAD, COMPLETE_UPLOAD, ABORT_UPLOAD, HEAD_OBJECT, LIST_OBJECTS, DELETE_OBJECT,
                 UPLOAD_PART_COPY, COPY_OBJECT, GET_OBJECT, OPERATIONS };
static const char *const OPERATION_NAMES[OPERATIONS] = {
    "PutObject",  "UploadPart",    "CreateMultipartUpload", "CompleteMultipartUpload", "AbortMultipartUpload",
    "HeadObject", "ListObjectsV2", "DeleteObject",          "UploadPartCopy",          "CopyObject",
    "GetObject"};

struct part {
  uint64_t size;
  uint64_t from;
};

struct upload {
  char *key;
  char *meta;
  struct part *parts; /* by number less 1 */
};

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static struct objects objects;
static struct upload *uploads[UPLOADS_MAX];
static uint64_t counts[OPERATIONS], bytes_in, bytes_out, bytes_copied, etags, compared;
static atomic_bool checking;
static char wrong[256];

/* One connection, and the request that it is at. */
struct visit {
  int fd;
  char *head;
  uint8_t *body;
  size_t filled;     /* bytes in head */
  size_t head_length; /* with the empty line; what stands behind is the body's beginning */
  char method[8];
  char key[KEY_MAX];
  char query[HEAD_MAX];
  char meta[META_MAX];
  char crc32[32];
  char source[KEY_MAX]; /* of a copy: the key */
  bool ranged;
  uint64_t first, last; /* of a range to get or to copy */
  uint64_t length;
  bool expects;
  bool gone; /* the connection broke within this request */
};

static void note_wrong(const char *key, const char *what, uint64_t at) {
  pthread_mutex_lock(&lock);
  if (wrong[0] == '\0') snprintf(wrong, sizeof wrong, "%.100s: %s at %" PRIu64, key, what, at);
  pthread_mutex_unlock(&lock);
}

static void answer(struct visit *visit, const char *status, const char *headers, const char *body, size_t length) {
  char head[META_MAX + 1024];
  const int head_length = snprintf(head, sizeof head, "HTTP/1.1 %s\r\nContent-Length: %zu\r\n%s\r\n", status, length, headers);
  if (head_length < 0 || (size_t)head_length >= sizeof head) die("an answer's head too long");
  if (!try_send(visit->fd, head, (size_t)head_length) || !try_send(visit->fd, body, length)) visit->gone = true;
}

static void answer_text(struct visit *visit, const char *status, const char *body) {
  answer(visit, status, "", body, strlen(body));
}

/* Copies a header's value up to the end of its line. */
static void keep(char *into, size_t room, const char *value, size_t length) {
  if (length >= room) die("a header too long");
  memcpy(into, value, length);
  into[length] = '\0';
}

static void read_header(struct visit *visit, const char *line, size_t length) {
  const char *colon = memchr(line, ':', length);
  if (colon == NULL) return;
  const size_t name = (size_t)(colon - line);
  const char *value = colon + 1 + (colon[1] == ' ');
  const size_t value_length = (size_t)(line + length - value);
  char text[64];
  if (name == 14 && strncasecmp(line, "Content-Length", name) == 0) {
    keep(text, sizeof text, value, value_length);
    visit->length = number(text, 0, (uint64_t)1 << 40);
  } else if (name == 17 && strncasecmp(line, "Transfer-Encoding", name) == 0) {
    die("a body without a length");
  } else if (name == 6 && strncasecmp(line, "Expect", name) == 0) {
    visit->expects = true;
  } else if (name == 17 && strncasecmp(line, "x-amz-copy-source", name) == 0) {
    const char *slash = memchr(value, '/', value_length);
    if (slash == NULL) die("a source without a key");
    keep(visit->source, sizeof visit->source, slash + 1, (size_t)(value + value_length - slash - 1));
  } else if ((name == 23 && strncasecmp(line, "x-amz-copy-source-range", name) == 0) ||
             (name == 5 && strncasecmp(line, "Range", name) == 0)) {
    visit->ranged = sscanf(value, "bytes=%" SCNu64 "-%" SCNu64, &visit->first, &visit->last) == 2;
  } else if (name == 20 && strncasecmp(line, "x-amz-checksum-crc32", name) == 0) {
    keep(visit->crc32, sizeof visit->crc32, value, value_length);
  } else if (name > 11 && strncasecmp(line, "x-amz-meta-", 11) == 0) {
    const size_t have = strlen(visit->meta);
    if (have + length + 3 > META_MAX) die("metadata too long");
    memcpy(visit->meta + have, line, length);
    memcpy(visit->meta + have + length, "\r\n", 3);
  }
}

/* `/BUCKET/KEY?QUERY`: letters, digits and `/-_.~` in keys, so that LIST needs no escapes. */
static void read_target(struct visit *visit, char *target) {
  char *query = strchr(target, '?');
  if (query != NULL) *query++ = '\0';
  snprintf(visit->query, sizeof visit->query, "%s", query == NULL ? "" : query);
  const char *slash = target[0] == '\0' ? NULL : strchr(target + 1, '/');
  const char *key = slash == NULL ? "" : slash + 1;
  if (strncmp(target, "/-/", 3) == 0) key = target;
  if (strlen(key) >= KEY_MAX || key[strspn(key, "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789/-_.~")] != '\0')
    die("a key this sink doesn't take: %s", key);
  snprintf(visit->key, sizeof visit->key, "%s", key);
}

/* Reads a request's head; false when the connection has ended. */
static bool read_head(struct visit *visit) {
  char *end = NULL;
  for (;;) {
    visit->head[visit->filled] = '\0';
    end = strstr(visit->head, "\r\n\r\n");
    if (end != NULL) break;
    if (visit->filled == HEAD_MAX - 1) die("a request's head too long");
    const ssize_t got = recv(visit->fd, visit->head + visit->filled, HEAD_MAX - 1 - visit->filled, 0);
    if (got < 0 && errno == EINTR) continue;
    if (got <= 0) return false;
    visit->filled += (size_t)got;
  }
  visit->head_length = (size_t)(end + 4 - visit->head);
  visit->length = 0;
  visit->expects = false;
  visit->meta[0] = visit->crc32[0] = visit->source[0] = '\0';
  visit->ranged = false;
  char *line = visit->head;
  char *line_end = strstr(line, "\r\n");
  char *target = memchr(line, ' ', (size_t)(line_end - line));
  if (target == NULL || (size_t)(target - line) >= sizeof visit->method) die("not a request");
  keep(visit->method, sizeof visit->method, line, (size_t)(target - line));
  char *target_end = memchr(target + 1, ' ', (size_t)(line_end - target - 1));
  if (target_end == NULL) die("not a request");
  for (char *at = line_end; at < end;) {
    char *next = strstr(at + 2, "\r\n");
    read_header(visit, at + 2, (size_t)(next - at - 2));
    at = next;
  }
  *target_end = '\0';
  read_target(visit, target + 1);
  return !visit->expects || try_send(visit->fd, "HTTP/1.1 100 Continue\r\n\r\n", 25);
}

/* The number behind the last dash of a key, which is the seed of its bytes; false when there is none. */
static bool seed_of(const char *key, uint32_t *seed) {
  const char *dash = strrchr(key, '-');
  if (dash == NULL || dash[1] == '\0' || dash[1 + strspn(dash + 1, "0123456789")] != '\0' || strlen(dash) > 10) return false;
  *seed = (uint32_t)number(dash + 1, 0, UINT32_MAX);
  return true;
}

/* Takes the body, and compares it if that is wanted; the offset in its file that its first page tells, when it was compared. */
static uint64_t read_body(struct visit *visit) {
  uint32_t seed = 0;
  const bool check = checking && visit->method[1] == 'U' && visit->length >= PAGE_HEAD && seed_of(visit->key, &seed);
  size_t held = visit->filled - visit->head_length;
  if (held > visit->length) held = (size_t)visit->length;
  uint64_t from = 0, done = 0;
  size_t carried = 0; /* bytes in body that were received and not compared */
  memcpy(visit->body, visit->head + visit->head_length, held);
  memmove(visit->head, visit->head + visit->head_length + held, visit->filled - visit->head_length - held);
  visit->filled -= visit->head_length + held;
  for (uint64_t left = visit->length;;) {
    carried += held;
    left -= held;
    if (check && (carried == BODY_BUFFER || left == 0)) {
      if (done == 0) {
        double place;
        memcpy(&place, visit->body + 8, sizeof place);
        from = place >= 0 && place < 1e15 ? (uint64_t)place : 0;
      }
      const size_t at = pattern_mismatch(visit->body, carried, seed, from + done);
      if (at < carried) note_wrong(visit->key, "wrong byte", from + done + at);
      done += carried;
      carried = 0;
    }
    if (!check) carried = 0;
    if (left == 0) break;
    const size_t room = BODY_BUFFER - carried;
    const ssize_t got = recv(visit->fd, visit->body + carried, left < room ? (size_t)left : room, 0);
    if (got < 0 && errno == EINTR) {
      held = 0;
      continue;
    }
    if (got <= 0) {
      visit->gone = true;
      return 0;
    }
    held = (size_t)got;
  }
  pthread_mutex_lock(&lock);
  bytes_in += visit->length;
  if (check) compared += visit->length;
  pthread_mutex_unlock(&lock);
  return from;
}

/* None looks like an MD5: a client that takes ETags for that would find its object corrupted. */
static void next_etag(char *etag, size_t room, unsigned parts) {
  if (parts == 0) snprintf(etag, room, "\"s%031" PRIx64 "\"", ++etags);
  else snprintf(etag, room, "\"s%031" PRIx64 "-%u\"", ++etags, parts);
}

static struct upload **upload_of(const struct visit *visit) {
  char id[KEY_MAX];
  query_value(visit->query, "uploadId", id);
  return &uploads[number(id, 0, UPLOADS_MAX - 1)];
}

static void drop_upload(struct upload **upload) {
  if (*upload == NULL) return;
  free((*upload)->key);
  free((*upload)->meta);
  free((*upload)->parts);
  free(*upload);
  *upload = NULL;
}

/* CopyObject and UploadPartCopy. */
static void on_copy(struct visit *visit) {
  char number_text[KEY_MAX], etag[48], text[256] = "";
  query_value(visit->query, "partNumber", number_text);
  const bool is_part = number_text[0] != '\0';
  pthread_mutex_lock(&lock);
  counts[is_part ? UPLOAD_PART_COPY : COPY_OBJECT]++;
  next_etag(etag, sizeof etag, 0);
  const struct object *source = object_find(&objects, visit->source);
  struct upload *upload = is_part ? *upload_of(visit) : NULL;
  if (source != NULL && is_part && upload != NULL && visit->ranged && visit->last < source->size) {
    const uint64_t copied = visit->last - visit->first + 1;
    upload->parts[number(number_text, 1, PARTS_MAX) - 1] = (struct part){.size = copied, .from = visit->first};
    bytes_copied += copied;
    snprintf(text, sizeof text, "<?xml version=\"1.0\"?><CopyPartResult><ETag>%s</ETag></CopyPartResult>", etag);
  } else if (source != NULL && !is_part) {
    bytes_copied += source->size;
    object_put(&objects, visit->key, source->size, etag, visit->meta);
    snprintf(text, sizeof text, "<?xml version=\"1.0\"?><CopyObjectResult><ETag>%s</ETag></CopyObjectResult>", etag);
  }
  pthread_mutex_unlock(&lock);
  answer_text(visit, text[0] == '\0' ? "404 Not Found" : "200 OK", text);
}

static void on_put(struct visit *visit) {
  const uint64_t from = read_body(visit);
  if (visit->gone) return;
  if (strcmp(visit->key, "/-/check") == 0 || strcmp(visit->key, "/-/trust") == 0) {
    checking = visit->key[3] == 'c';
    return answer_text(visit, "200 OK", "");
  }
  if (visit->source[0] != '\0') return on_copy(visit);
  char number_text[KEY_MAX], etag[48], headers[160];
  query_value(visit->query, "partNumber", number_text);
  pthread_mutex_lock(&lock);
  next_etag(etag, sizeof etag, 0);
  const char *status = "200 OK";
  if (number_text[0] != '\0') {
    counts[UPLOAD_PART]++;
    struct upload *upload = *upload_of(visit);
    if (upload == NULL) status = "404 Not Found";
    else upload->parts[number(number_text, 1, PARTS_MAX) - 1] = (struct part){.size = visit->length, .from = from};
  } else {
    counts[PUT_OBJECT]++;
    object_put(&objects, visit->key, visit->length, etag, visit->meta);
  }
  pthread_mutex_unlock(&lock);
  snprintf(headers, sizeof headers, "ETag: %s\r\n%s%s%s", etag, visit->crc32[0] == '\0' ? "" : "x-amz-checksum-crc32: ",
           visit->crc32, visit->crc32[0] == '\0' ? "" : "\r\n");
  answer(visit, status, headers, "", 0);
}

static void create_upload(struct visit *visit) {
  char text[KEY_MAX + 256];
  pthread_mutex_lock(&lock);
  counts[CREATE_UPLOAD]++;
  unsigned id = 0;
  while (id < UPLOADS_MAX && uploads[id] != NULL) id++;
  if (id == UPLOADS_MAX) die("more than %u unfinished uploads", UPLOADS_MAX);
  struct upload *upload = uploads[id] = allocate(sizeof *upload);
  *upload = (struct upload){strdup(visit->key), strdup(visit->meta), allocate(PARTS_MAX * sizeof(struct part))};
  if (upload->key == NULL || upload->meta == NULL) die("out of memory");
  pthread_mutex_unlock(&lock);
  snprintf(text, sizeof text,
           "<?xml version=\"1.0\"?><InitiateMultipartUploadResult><Key>%s</Key><UploadId>%u</UploadId>"
           "</InitiateMultipartUploadResult>", visit->key, id);
  answer_text(visit, "200 OK", text);
}

static void complete_upload(struct visit *visit) {
  char text[KEY_MAX + 256] = "", etag[48], unjoined[64] = "";
  pthread_mutex_lock(&lock);
  counts[COMPLETE_UPLOAD]++;
  struct upload **upload = upload_of(visit);
  if (*upload != NULL) {
    uint64_t size = 0;
    unsigned parts = 0;
    for (unsigned index = 0; index < PARTS_MAX; index++) {
      const struct part *part = &(*upload)->parts[index];
      if (part->size == 0) continue;
      if (checking && part->from != size) snprintf(unjoined, sizeof unjoined, "part %u begins elsewhere", index + 1);
      size += part->size;
      parts++;
    }
    next_etag(etag, sizeof etag, parts);
    object_put(&objects, (*upload)->key, size, etag, (*upload)->meta);
    drop_upload(upload);
    snprintf(text, sizeof text,
             "<?xml version=\"1.0\"?><CompleteMultipartUploadResult><Key>%s</Key><ETag>%s</ETag>"
             "</CompleteMultipartUploadResult>", visit->key, etag);
  }
  pthread_mutex_unlock(&lock);
  if (unjoined[0] != '\0') note_wrong(visit->key, unjoined, 0);
  answer_text(visit, text[0] == '\0' ? "404 Not Found" : "200 OK", text);
}

static void on_head(struct visit *visit) {
  char headers[META_MAX + 512] = "", stamp[64];
  struct tm parts;
  pthread_mutex_lock(&lock);
  counts[HEAD_OBJECT]++;
  const struct object *object = object_find(&objects, visit->key);
  const time_t now = time(NULL);
  if (object != NULL) {
    gmtime_r(&object->modified, &parts);
    strftime(stamp, sizeof stamp, "%a, %d %b %Y %H:%M:%S GMT", &parts);
    snprintf(headers, sizeof headers, "HTTP/1.1 200 OK\r\nContent-Length: %" PRIu64 "\r\nETag: %s\r\nLast-Modified: %s\r\n%s",
             object->size, object->etag, stamp, object->meta);
  } else {
    snprintf(headers, sizeof headers, "HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n");
  }
  pthread_mutex_unlock(&lock);
  gmtime_r(&now, &parts);
  const size_t length = strlen(headers);
  strftime(headers + length, sizeof headers - length, "Date: %a, %d %b %Y %H:%M:%S GMT\r\n\r\n", &parts);
  if (!try_send(visit->fd, headers, strlen(headers))) visit->gone = true;
}

/* Zeros. */
static void get_object(struct visit *visit) {
  static const uint8_t zeros[BODY_BUFFER];
  char headers[512];
  pthread_mutex_lock(&lock);
  counts[GET_OBJECT]++;
  const struct object *object = object_find(&objects, visit->key);
  const bool found = object != NULL && (!visit->ranged || visit->first < object->size);
  uint64_t left = 0;
  if (found && !visit->ranged) {
    left = object->size;
    snprintf(headers, sizeof headers, "HTTP/1.1 200 OK\r\nContent-Length: %" PRIu64 "\r\nETag: %s\r\n\r\n", left,
             object->etag);
  } else if (found) {
    if (visit->last >= object->size) visit->last = object->size - 1;
    left = visit->last - visit->first + 1;
    snprintf(headers, sizeof headers,
             "HTTP/1.1 206 Partial Content\r\nContent-Length: %" PRIu64 "\r\nETag: %s\r\nContent-Range: bytes %" PRIu64
             "-%" PRIu64 "/%" PRIu64 "\r\n\r\n", left, object->etag, visit->first, visit->last, object->size);
  }
  bytes_out += left;
  pthread_mutex_unlock(&lock);
  if (!found) return answer_text(visit, "404 Not Found", "");
  if (!try_send(visit->fd, headers, strlen(headers))) visit->gone = true;
  for (; left > 0 && !visit->gone; left -= left < BODY_BUFFER ? left : BODY_BUFFER)
    if (!try_send(visit->fd, zeros, left < BODY_BUFFER ? (size_t)left : BODY_BUFFER)) visit->gone = true;
}

static void on_get(struct visit *visit) {
  if (visit->key[0] != '\0' && strcmp(visit->key, "/-/stats") != 0) return get_object(visit);
  struct text text = {0};
  const char *status = "200 OK";
  pthread_mutex_lock(&lock);
  if (strcmp(visit->key, "/-/stats") == 0) {
    add(&text, "{\"requests\":{");
    for (int each = 0; each < OPERATIONS; each++)
      add(&text, "%s\"%s\":%" PRIu64, each == 0 ? "" : ",", OPERATION_NAMES[each], counts[each]);
    add(&text, "},\"bytesIn\":%" PRIu64 ",\"bytesOut\":%" PRIu64 ",\"bytesCopied\":%" PRIu64
        ",\"bytesCompared\":%" PRIu64 ",\"cpuSeconds\":%.6f,\"wrong\":\"%s\"}", bytes_in,
        bytes_out, bytes_copied, compared, cpu_seconds(), wrong);
  } else if (strstr(visit->query, "list-type=2") != NULL) {
    counts[LIST_OBJECTS]++;
    list_objects(&objects, visit->query, &text);
  } else if (strncmp(visit->query, "uploads", 7) == 0) {
    add(&text, "<?xml version=\"1.0\"?><ListMultipartUploadsResult><IsTruncated>false</IsTruncated></ListMultipartUploadsResult>");
  } else {
    status = "501 Not Implemented";
  }
  pthread_mutex_unlock(&lock);
  answer(visit, status, "Content-Type: application/xml\r\n", text.bytes == NULL ? "" : text.bytes, text.length);
  free(text.bytes);
}

static void on_delete(struct visit *visit) {
  pthread_mutex_lock(&lock);
  if (strstr(visit->query, "uploadId=") != NULL) {
    counts[ABORT_UPLOAD]++;
    drop_upload(upload_of(visit));
  } else {
    counts[DELETE_OBJECT]++;
    object_remove(&objects, visit->key);
  }
  pthread_mutex_unlock(&lock);
  if (!try_send(visit->fd, "HTTP/1.1 204 No Content\r\n\r\n", 27)) visit->gone = true;
}

static void *serve(void *argument) {
  struct visit *visit = argument;
  while (!visit->gone && read_head(visit)) {
    if (strcmp(visit->method, "PUT") == 0) {
      on_put(visit);
      continue;
    }
    /* Bodies of the other calls are short lists: nobody looks at them. */
    read_body(visit);
    if (visit->gone) break;
    if (strcmp(visit->method, "POST") == 0 && strncmp(visit->query, "uploads", 7) == 0) create_upload(visit);
    else if (strcmp(visit->method, "POST") == 0 && strstr(visit->query, "uploadId=") != NULL) complete_upload(visit);
    else if (strcmp(visit->method, "HEAD") == 0) on_head(visit);
    else if (strcmp(visit->method, "GET") == 0) on_get(visit);
    else if (strcmp(visit->method, "DELETE") == 0) on_delete(visit);
    else answer_text(visit, "501 Not Implemented", "");
  }
  close(visit->fd);
  free(visit->head);
  free(visit->body);
  free(visit);
  return NULL;
}

static void *wait_for_end(void *argument) {
  char byte;
  while (read(STDIN_FILENO, &byte, 1) > 0) continue;
  _exit(0);
  return argument;
}

int main(void) {
  pattern_ground();
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
    no_delay(fd);
    struct visit *visit = allocate(sizeof *visit);
    visit->fd = fd;
    visit->head = allocate(HEAD_MAX);
    visit->body = allocate(BODY_BUFFER);
    if (pthread_create(&thread, NULL, serve, visit) != 0 || pthread_detach(thread) != 0) die("cannot start a thread");
  }
}
