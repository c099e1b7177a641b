// A trace file in memory: read, checked, decoded into an array that the replay loop walks.
//
// Invariants  everything a file can get wrong is found here, with one line on stderr and exit code 2; a
//             decoded trace is consistent: what is freed is live, slots are below slot_count, and the blocks
//             still live at the recording's end are freed by events of our own, so a pass ends empty.
// Memory      mapped directly, never from an allocator under test; all but the events is unmapped again.
// Callers     replay.c before it measures anything; the recorder's trace_info.
#ifndef BENCH_REPLAY_TRACE_H
#define BENCH_REPLAY_TRACE_H

#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "trace_format.h"

enum replay_kind {
  REPLAY_MALLOC,
  REPLAY_CALLOC,
  REPLAY_ALIGNED,
  REPLAY_FREE,     ///< size: of the block that goes
  REPLAY_REALLOC,  ///< size: the new one; the next event is a REPLAY_OLD_SIZE
  REPLAY_OLD_SIZE, ///< belongs to the realloc before it; size: of the block that goes
};
enum {
  REPLAY_KIND_SHIFT = TRACE_SIZE_LOG2,
  REPLAY_ALIGNMENT_SHIFT = TRACE_SIZE_LOG2 + 8,
};
#define REPLAY_NO_LINK UINT32_MAX

/// 16 bytes, so that reading the script disturbs the caches little: 4 events a line, in order.
struct replay_event {
  uint32_t slot;
  uint32_t link;   ///< of a new block: the slot it refers to (replay_links.h)
  uint64_t packed; ///< size_bytes : 48, kind : 8, alignment_log2 : 8
};

static inline uint64_t replay_size(struct replay_event event) {
  return event.packed & ((UINT64_C(1) << TRACE_SIZE_LOG2) - 1);
}
static inline enum replay_kind replay_kind(struct replay_event event) {
  return (enum replay_kind)(event.packed >> REPLAY_KIND_SHIFT & 0xff);
}
static inline size_t replay_alignment(struct replay_event event) {
  return (size_t)1 << (event.packed >> REPLAY_ALIGNMENT_SHIFT);
}

struct replay_trace {
  const char *path;
  struct trace_header header;
  struct replay_event *events;
  size_t count;        ///< of the array
  size_t count_to_end; ///< the events before those that drop what the program left behind
};

_Noreturn static inline __attribute__((format(printf, 2, 3))) void replay_refuse(const char *path,
                                                                                 const char *format, ...) {
  va_list arguments;
  va_start(arguments, format);
  fprintf(stderr, "%s: ", path);
  vfprintf(stderr, format, arguments);
  fputc('\n', stderr);
  va_end(arguments);
  exit(2);
}

static inline void *replay_map_pages(const char *path, size_t bytes) {
  void *pages =
      mmap(NULL, bytes + 1, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
  if (pages == MAP_FAILED) replay_refuse(path, "no memory for %zu bytes", bytes);
  return pages;
}
static inline void replay_unmap_pages(void *pages, size_t bytes) { munmap(pages, bytes + 1); }

// MARK: The file

static inline const uint8_t *replay_map_file(const char *path, size_t *bytes) {
  int fd = open(path, O_RDONLY | O_CLOEXEC);
  struct stat info;
  if (fd < 0 || fstat(fd, &info) != 0) replay_refuse(path, "%s", strerror(errno));
  if (!S_ISREG(info.st_mode)) replay_refuse(path, "not a regular file");
  *bytes = (size_t)info.st_size;
  if (*bytes == 0) replay_refuse(path, "truncated: the file is empty");
  void *file = mmap(NULL, *bytes, PROT_READ, MAP_PRIVATE, fd, 0);
  if (file == MAP_FAILED) replay_refuse(path, "cannot map: %s", strerror(errno));
  close(fd);
  return file;
}

static inline void replay_check_header(const char *path, const uint8_t *file, size_t bytes,
                                       struct trace_header *header) {
  if (bytes >= 2 && file[0] == 0x1f && file[1] == 0x8b)
    replay_refuse(path, "compressed; decompress it first (gzip -dc)");
  if (bytes < sizeof header->magic || memcmp(file, TRACE_MAGIC, sizeof header->magic) != 0)
    replay_refuse(path, "not an allocation trace (bad magic)");
  if (bytes < sizeof *header) replay_refuse(path, "truncated: shorter than a header");
  memcpy(header, file, sizeof *header);
  if (header->version == TRACE_VERSION_UNFINISHED)
    replay_refuse(path, "unfinished: the recorded program was killed, or replaced itself by exec");
  if (header->version != TRACE_VERSION)
    replay_refuse(path, "version %u, this program reads version %d", header->version, TRACE_VERSION);
  uint64_t around_events = sizeof *header + TRACE_CHECKSUM_BYTES;
  if (bytes < around_events || bytes - around_events < header->events_bytes)
    replay_refuse(path, "truncated: %zu bytes, the header says %llu", bytes,
                  (unsigned long long)(header->events_bytes + around_events));
  if (bytes - around_events > header->events_bytes) replay_refuse(path, "bytes after the end of the trace");
}

static inline void replay_check_sum(const char *path, const uint8_t *file,
                                    const struct trace_header *header) {
  const uint8_t *events = file + sizeof *header;
  uint64_t stored, computed = trace_hash(TRACE_HASH_START, events, header->events_bytes);
  computed = trace_hash(computed, header, sizeof *header);
  memcpy(&stored, events + header->events_bytes, sizeof stored);
  if (stored != computed) replay_refuse(path, "corrupt: bad checksum");
  // An event is at least a byte, so these bound what is mapped below by the size of the file.
  if (header->event_count > header->events_bytes || header->slot_count > header->event_count ||
      header->event_count > UINT32_MAX / 4 || memchr(header->program, 0, TRACE_PROGRAM_BYTES) == NULL)
    replay_refuse(path, "corrupt: impossible counts in the header");
}

// MARK: The events

enum { REPLAY_SLOT_FREE_LOG2 = 63 }; ///< size of a slot without a block; no block is that large

/// What decoding keeps in mind: the sizes of live blocks and which slots are free (trace_format.h).
struct replay_decoder {
  const char *path;
  const uint8_t *at, *end;
  struct replay_trace *trace;
  uint64_t *sizes; ///< by slot
  uint32_t *free_slots;
  size_t free_count;
  uint32_t slots_used;
  uint32_t last_slot;
};

static inline uint64_t replay_next_varint(struct replay_decoder *decoder) {
  uint64_t value = 0;
  size_t length = trace_get_varint(decoder->at, decoder->end, &value);
  if (length == 0) replay_refuse(decoder->path, "corrupt: a number is cut off");
  decoder->at += length;
  return value;
}

static inline void replay_emit(struct replay_decoder *decoder, enum replay_kind kind, uint32_t slot,
                               uint64_t size, unsigned alignment_log2) {
  if (size >> TRACE_SIZE_LOG2) replay_refuse(decoder->path, "corrupt: a size above any address space");
  uint64_t packed =
      size | (uint64_t)kind << REPLAY_KIND_SHIFT | (uint64_t)alignment_log2 << REPLAY_ALIGNMENT_SHIFT;
  struct replay_trace *trace = decoder->trace;
  trace->events[trace->count++] =
      (struct replay_event){.slot = slot, .link = REPLAY_NO_LINK, .packed = packed};
}

static inline void replay_decode_allocation(struct replay_decoder *decoder, enum replay_kind kind,
                                            uint64_t size) {
  unsigned alignment_log2 = 0;
  if (kind == REPLAY_ALIGNED) {
    if (decoder->at == decoder->end || *decoder->at > TRACE_ALIGNMENT_LOG2_MAX)
      replay_refuse(decoder->path, "corrupt: bad alignment");
    alignment_log2 = *decoder->at++;
  }
  uint32_t slot;
  if (decoder->free_count)
    slot = decoder->free_slots[--decoder->free_count];
  else if (decoder->slots_used < decoder->trace->header.slot_count)
    slot = decoder->slots_used++;
  else
    replay_refuse(decoder->path, "corrupt: more live blocks than the header says");
  decoder->sizes[slot] = size;
  decoder->last_slot = slot;
  replay_emit(decoder, kind, slot, size, alignment_log2);
}

static inline uint32_t replay_decode_slot(struct replay_decoder *decoder, uint64_t difference) {
  uint64_t slot = (uint64_t)decoder->last_slot + (uint64_t)trace_unzigzag(difference);
  if (slot >= decoder->slots_used || decoder->sizes[slot] >> REPLAY_SLOT_FREE_LOG2)
    replay_refuse(decoder->path, "corrupt: an event for a block that is not live");
  decoder->last_slot = (uint32_t)slot;
  return decoder->last_slot;
}

static inline void replay_decode_free(struct replay_decoder *decoder, uint32_t slot) {
  replay_emit(decoder, REPLAY_FREE, slot, decoder->sizes[slot], 0);
  decoder->sizes[slot] = UINT64_C(1) << REPLAY_SLOT_FREE_LOG2;
  decoder->free_slots[decoder->free_count++] = slot;
}

static inline void replay_decode_realloc(struct replay_decoder *decoder, uint32_t slot) {
  uint64_t size = replay_next_varint(decoder);
  replay_emit(decoder, REPLAY_REALLOC, slot, size, 0);
  replay_emit(decoder, REPLAY_OLD_SIZE, slot, decoder->sizes[slot], 0);
  decoder->sizes[slot] = size;
}

/// One event; false at TRACE_END.
static inline bool replay_decode_event(struct replay_decoder *decoder) {
  uint64_t head = replay_next_varint(decoder), value = head >> TRACE_OPERATION_BITS;
  switch (head & ((1u << TRACE_OPERATION_BITS) - 1)) {
  case TRACE_END: return false;
  case TRACE_MALLOC: replay_decode_allocation(decoder, REPLAY_MALLOC, value); return true;
  case TRACE_CALLOC: replay_decode_allocation(decoder, REPLAY_CALLOC, value); return true;
  case TRACE_ALIGNED: replay_decode_allocation(decoder, REPLAY_ALIGNED, value); return true;
  case TRACE_FREE: replay_decode_free(decoder, replay_decode_slot(decoder, value)); return true;
  case TRACE_REALLOC: replay_decode_realloc(decoder, replay_decode_slot(decoder, value)); return true;
  }
  replay_refuse(decoder->path, "corrupt: unknown operation");
}

static inline void replay_decode_all(struct replay_decoder *decoder) {
  struct replay_trace *trace = decoder->trace;
  uint64_t count = 0;
  while (replay_decode_event(decoder))
    if (++count > trace->header.event_count)
      replay_refuse(decoder->path, "corrupt: more events than counted");
  if (count != trace->header.event_count || decoder->at != decoder->end)
    replay_refuse(decoder->path, "corrupt: ends before the events that were counted");
  if (decoder->slots_used != trace->header.slot_count)
    replay_refuse(decoder->path, "corrupt: wrong slot count");
  trace->count_to_end = trace->count;
  for (uint32_t slot = 0; slot < decoder->slots_used; slot++)
    if (!(decoder->sizes[slot] >> REPLAY_SLOT_FREE_LOG2)) replay_decode_free(decoder, slot);
}

/// Reads a trace; exits with code 2 and one line when it is not one.
static inline void replay_trace_load(struct replay_trace *trace, const char *path) {
  size_t file_bytes;
  const uint8_t *file = replay_map_file(path, &file_bytes);
  *trace = (struct replay_trace){.path = path};
  replay_check_header(path, file, file_bytes, &trace->header);
  replay_check_sum(path, file, &trace->header);
  const uint8_t *events = file + sizeof trace->header;
  size_t slots = trace->header.slot_count;
  struct replay_decoder decoder = {
      .path = path, .at = events, .end = events + trace->header.events_bytes, .trace = trace};
  decoder.sizes = replay_map_pages(path, slots * sizeof *decoder.sizes);
  decoder.free_slots = replay_map_pages(path, slots * sizeof *decoder.free_slots);
  // A realloc takes two places, and every slot may need a free at the end. Untouched pages cost nothing.
  trace->events = replay_map_pages(path, (2 * trace->header.event_count + slots) * sizeof *trace->events);
  replay_decode_all(&decoder);
  replay_unmap_pages(decoder.sizes, slots * sizeof *decoder.sizes);
  replay_unmap_pages(decoder.free_slots, slots * sizeof *decoder.free_slots);
  munmap((void *)(uintptr_t)file, file_bytes);
}

#endif
