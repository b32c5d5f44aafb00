/* The sink's memory of what it was sent: keys, sizes, metadata; and LIST over them. No bodies. */
#ifndef BENCH_OBJECTS_H
#define BENCH_OBJECTS_H

#include "common.h"
#include <strings.h>

#define KEY_MAX 512u
#define META_MAX 2048u
#define OBJECTS_MAX 1000000u

struct object {
  char *key;
  char *meta; /* x-amz-meta-* lines as they came, each ended by CR LF */
  uint64_t size;
  char etag[48];
  time_t modified;
};

/* In the order of keys. */
struct objects {
  struct object **all;
  size_t count, room;
};

/* Where `key` stands or would stand. */
static inline size_t object_place(const struct objects *objects, const char *key) {
  size_t low = 0, high = objects->count;
  while (low < high) {
    const size_t middle = low + (high - low) / 2;
    if (strcmp(objects->all[middle]->key, key) < 0) low = middle + 1;
    else high = middle;
  }
  return low;
}

static inline struct object *object_find(const struct objects *objects, const char *key) {
  const size_t at = object_place(objects, key);
  return at < objects->count && strcmp(objects->all[at]->key, key) == 0 ? objects->all[at] : NULL;
}

static inline struct object *object_put(struct objects *objects, const char *key, uint64_t size, const char *etag,
                                        const char *meta) {
  struct object *object = object_find(objects, key);
  if (object == NULL) {
    if (objects->count == OBJECTS_MAX) die("more than %u objects", OBJECTS_MAX);
    if (objects->count == objects->room) {
      objects->room = objects->room == 0 ? 1024 : 2 * objects->room;
      objects->all = realloc(objects->all, objects->room * sizeof *objects->all);
      if (objects->all == NULL) die("out of memory");
    }
    const size_t at = object_place(objects, key);
    memmove(objects->all + at + 1, objects->all + at, (objects->count - at) * sizeof *objects->all);
    object = objects->all[at] = allocate(sizeof *object);
    objects->count++;
    object->key = strdup(key);
    if (object->key == NULL) die("out of memory");
  }
  free(object->meta);
  object->meta = strdup(meta);
  if (object->meta == NULL) die("out of memory");
  object->size = size;
  object->modified = time(NULL);
  snprintf(object->etag, sizeof object->etag, "%s", etag);
  return object;
}

static inline void object_remove(struct objects *objects, const char *key) {
  const size_t at = object_place(objects, key);
  if (at == objects->count || strcmp(objects->all[at]->key, key) != 0) return;
  free(objects->all[at]->key);
  free(objects->all[at]->meta);
  free(objects->all[at]);
  objects->count--;
  memmove(objects->all + at, objects->all + at + 1, (objects->count - at) * sizeof *objects->all);
}

struct text {
  char *bytes;
  size_t length, room;
};

__attribute__((format(printf, 2, 3))) static inline void add(struct text *text, const char *format, ...) {
  if (text->room - text->length < 4096) {
    text->room = 2 * text->room + 16384;
    text->bytes = realloc(text->bytes, text->room);
    if (text->bytes == NULL) die("out of memory");
  }
  va_list arguments;
  va_start(arguments, format);
  const int length = vsnprintf(text->bytes + text->length, text->room - text->length, format, arguments);
  va_end(arguments);
  if (length < 0 || (size_t)length >= text->room - text->length) die("a piece of text too long");
  text->length += (size_t)length;
}

/* The value of a query parameter, decoded, into `value` (KEY_MAX bytes); empty when it is absent. */
static inline void query_value(const char *query, const char *name, char *value) {
  value[0] = '\0';
  const size_t name_length = strlen(name);
  for (const char *at = query; *at != '\0'; at += strcspn(at, "&"), at += *at == '&') {
    if (strncmp(at, name, name_length) != 0 || at[name_length] != '=') continue;
    size_t length = 0;
    for (at += name_length + 1; *at != '\0' && *at != '&'; at++) {
      if (length + 1 == KEY_MAX) die("a query parameter too long");
      if (*at == '%' && at[1] != '\0' && at[2] != '\0') {
        const char digits[3] = {at[1], at[2], '\0'};
        value[length++] = (char)strtoul(digits, NULL, 16);
        at += 2;
      } else {
        value[length++] = *at;
      }
    }
    value[length] = '\0';
    return;
  }
}

static inline void add_time(struct text *text, time_t when) {
  struct tm parts;
  char stamp[40];
  gmtime_r(&when, &parts);
  strftime(stamp, sizeof stamp, "%Y-%m-%dT%H:%M:%S.000Z", &parts);
  add(text, "<LastModified>%s</LastModified>", stamp);
}

/* ListObjectsV2. Keys hold nothing that XML or a URL would write otherwise (put_object sees to that); the token is the last key. */
static inline void list_objects(const struct objects *objects, const char *query, struct text *text) {
  char prefix[KEY_MAX], delimiter[KEY_MAX], after[KEY_MAX], max_text[KEY_MAX];
  query_value(query, "prefix", prefix);
  query_value(query, "delimiter", delimiter);
  query_value(query, "max-keys", max_text);
  query_value(query, "continuation-token", after);
  if (after[0] == '\0') query_value(query, "start-after", after);
  const uint64_t max = max_text[0] == '\0' ? 1000 : number(max_text, 0, 1000);
  add(text, "<?xml version=\"1.0\"?><ListBucketResult xmlns=\"http://s3.amazonaws.com/doc/2006-03-01/\">"
            "<EncodingType>url</EncodingType><Prefix>%s</Prefix>", prefix);
  const size_t prefix_length = strlen(prefix);
  uint64_t listed = 0;
  char last[KEY_MAX] = "";
  bool more = false;
  for (size_t at = object_place(objects, strcmp(after, prefix) > 0 ? after : prefix); at < objects->count; at++) {
    const struct object *object = objects->all[at];
    if (strncmp(object->key, prefix, prefix_length) != 0) break;
    if (strcmp(object->key, after) <= 0) continue;
    const char *cut = delimiter[0] == '\0' ? NULL : strstr(object->key + prefix_length, delimiter);
    const size_t shown = cut == NULL ? strlen(object->key) : (size_t)(cut - object->key) + 1;
    if (cut != NULL && strncmp(last, object->key, shown) == 0 && last[shown] == '\0') continue;
    if (cut != NULL && strncmp(after, object->key, shown) == 0) continue;
    if (listed++ == max) {
      more = true;
      break;
    }
    snprintf(last, sizeof last, "%.*s", (int)shown, object->key);
    if (cut != NULL) {
      add(text, "<CommonPrefixes><Prefix>%s</Prefix></CommonPrefixes>", last);
      continue;
    }
    add(text, "<Contents><Key>%s</Key>", object->key);
    add_time(text, object->modified);
    add(text, "<ETag>%s</ETag><Size>%" PRIu64 "</Size></Contents>", object->etag, object->size);
  }
  if (more) add(text, "<NextContinuationToken>%s</NextContinuationToken>", last);
  add(text, "<IsTruncated>%s</IsTruncated></ListBucketResult>", more ? "true" : "false");
}

#endif
