#include "record_stream.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <unistd.h>

enum {
  // The trace's descriptor moves up here, so that the program sees the numbers it would see without us.
  RECORD_STREAM_FD_MIN = 700,
};

static bool record_stream_write(int fd, const void *bytes, size_t count) {
  const char *at = bytes;
  while (count) {
    ssize_t written = write(fd, at, count);
    if (written < 0 && errno == EINTR) continue;
    if (written <= 0) return false;
    at += written;
    count -= (size_t)written;
  }
  return true;
}

static bool record_stream_flush(struct record_stream *stream) {
  bool written = record_stream_write(stream->fd, stream->buffer, stream->used);
  stream->used = 0;
  return written;
}

static bool record_stream_append(struct record_stream *stream, const uint8_t *bytes, size_t count) {
  if (stream->used + count > sizeof stream->buffer && !record_stream_flush(stream)) return false;
  memcpy(stream->buffer + stream->used, bytes, count);
  stream->used += count;
  stream->bytes += count;
  stream->hash = trace_hash(stream->hash, bytes, count);
  return true;
}

bool record_stream_open(struct record_stream *stream, const char *path) {
  // O_EXCL: of a program and the processes it starts, the first to get here records, the others find the
  // file.
  int fd = open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0666);
  if (fd < 0) return false;
  int moved = fcntl(fd, F_DUPFD_CLOEXEC, RECORD_STREAM_FD_MIN);
  if (moved >= 0) {
    close(fd);
    fd = moved;
  }
  stream->fd = fd;
  stream->hash = TRACE_HASH_START;
  struct trace_header placeholder = {.version = TRACE_VERSION_UNFINISHED};
  memcpy(placeholder.magic, TRACE_MAGIC, sizeof placeholder.magic);
  return record_stream_write(fd, &placeholder, sizeof placeholder);
}

bool record_stream_event(struct record_stream *stream, enum trace_operation operation, uint64_t value,
                         const uint8_t *extra, size_t extra_bytes) {
  uint8_t event[2 * TRACE_VARINT_BYTES_MAX];
  size_t length = trace_put_varint(event, value << TRACE_OPERATION_BITS | (uint64_t)operation);
  if (extra) memcpy(event + length, extra, extra_bytes);
  return record_stream_append(stream, event, length + extra_bytes);
}

bool record_stream_close(struct record_stream *stream, struct trace_header *header) {
  bool written = record_stream_event(stream, TRACE_END, 0, NULL, 0);
  memcpy(header->magic, TRACE_MAGIC, sizeof header->magic);
  header->version = TRACE_VERSION;
  header->events_bytes = stream->bytes;
  uint64_t hash = trace_hash(stream->hash, header, sizeof *header);
  written = written && record_stream_flush(stream);
  written = written && record_stream_write(stream->fd, &hash, sizeof hash);
  // The header last: until it is there the file says that it is unfinished.
  written = written && pwrite(stream->fd, header, sizeof *header, 0) == (ssize_t)sizeof *header;
  return close(stream->fd) == 0 && written;
}
