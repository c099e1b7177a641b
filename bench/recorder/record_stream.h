// The trace file while it is being written: buffering, checksum, header at the end.
//
// Callers     the recorder, under its lock.
// Not here    what an event means; any use of malloc or stdio.
#ifndef RECORD_STREAM_H
#define RECORD_STREAM_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "../programs/trace_format.h"

struct record_stream {
  int fd;
  size_t used;
  uint64_t hash;
  uint64_t bytes; ///< of the event stream, written or buffered
  uint8_t buffer[1 << 16];
};

/// Creates the file, which must not exist yet, and reserves the header. False with errno set.
bool record_stream_open(struct record_stream *stream, const char *path);
/// Appends one event: its first varint, then `extra` when not NULL. False with errno set.
bool record_stream_event(struct record_stream *stream, enum trace_operation operation, uint64_t value,
                         const uint8_t *extra, size_t extra_bytes);
/// Ends the stream, writes checksum and header, closes. The counts come from the caller, the rest of the
/// header from here. False with errno set: the file is then recognisably unfinished.
bool record_stream_close(struct record_stream *stream, struct trace_header *header);

#endif
