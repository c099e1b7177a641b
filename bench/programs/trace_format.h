// Allocation trace: the file format that the recorder writes and the replayer reads.
//
//   header     128 bytes, struct trace_header, little endian
//   events     a stream of events, the last of them TRACE_END
//   checksum   8 bytes, little endian: FNV-1a 64 of the event stream, continued over the header
//
// An event starts with one varint (LEB128, at most 10 bytes) holding value * 8 + operation:
//
//   operation        value                       then
//   TRACE_END        0
//   TRACE_MALLOC     size in bytes
//   TRACE_CALLOC     size in bytes (the product)
//   TRACE_ALIGNED    size in bytes               one byte: log2 of the alignment asked for
//   TRACE_FREE       slot, see below
//   TRACE_REALLOC    slot, see below             a varint: the new size in bytes
//
// Slots. Every live block has a slot number. Allocations do not carry theirs: a new block takes the slot
// freed most recently, or a new one, the next number from 0, when none is free. So the replayer can keep
// blocks in a dense table, and slot_count == peak_live_blocks. A realloc keeps the slot. TRACE_FREE and
// TRACE_REALLOC name it as zigzag(slot - slot of the event before), 0 before the first: programs free near
// what they just used, so most events take one or two bytes (absolute numbers compress a fifth worse).
//
// The header is written last (the counts are known only then), over a placeholder whose version is 0: a
// recording whose process was killed is recognised by that. The checksum covers both, so that truncation,
// flipped bits and a changed header are all found.
//
// Not recorded: threads (one stream, in the order in which the calls took effect), contents, call sites.
#ifndef TRACE_FORMAT_H
#define TRACE_FORMAT_H

#include <assert.h>
#include <stddef.h>
#include <stdint.h>

#define TRACE_MAGIC "TRITRACE"

enum {
  TRACE_VERSION = 1,
  TRACE_VERSION_UNFINISHED = 0,
  TRACE_PROGRAM_BYTES = 56,
  TRACE_VARINT_BYTES_MAX = 10,
  TRACE_CHECKSUM_BYTES = 8,
  /// The largest size: 48 bits, more than any address space hands out; lets the replayer pack an event.
  TRACE_SIZE_LOG2 = 48,
  TRACE_ALIGNMENT_LOG2_MAX = 40,
};

enum trace_operation {
  TRACE_END = 0,
  TRACE_MALLOC = 1,
  TRACE_CALLOC = 2,
  TRACE_ALIGNED = 3,
  TRACE_FREE = 4,
  TRACE_REALLOC = 5,
};
enum { TRACE_OPERATION_BITS = 3 };

/// Why a recording ended.
enum trace_flags {
  TRACE_FLAG_LIMIT = 1, ///< at TRICOLOR_TRACE_LIMIT events, not at the end of the program
};

struct trace_header {
  char magic[8];
  uint32_t version;
  uint32_t flags;
  uint64_t event_count;  ///< without TRACE_END
  uint64_t events_bytes; ///< of the stream, TRACE_END included
  uint64_t slot_count;
  uint64_t peak_live_blocks;
  uint64_t peak_live_bytes; ///< as asked for, without any allocator's rounding
  uint64_t allocated_blocks;
  uint64_t allocated_bytes;          ///< reallocs count with their new size
  char program[TRACE_PROGRAM_BYTES]; ///< base name, ends in NUL
};
static_assert(sizeof(struct trace_header) == 128, "the header is 128 bytes on disk, without padding");
static_assert(__BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__,
              "the header is read and written as it lies in memory");

static const uint64_t TRACE_HASH_START = 0xcbf29ce484222325u;

/// FNV-1a 64, continued from `hash`.
static inline uint64_t trace_hash(uint64_t hash, const void *bytes, size_t count) {
  const uint8_t *byte = bytes;
  for (size_t i = 0; i < count; i++)
    hash = (hash ^ byte[i]) * 0x100000001b3u;
  return hash;
}

static inline uint64_t trace_zigzag(int64_t value) {
  return ((uint64_t)value << 1) ^ (value < 0 ? UINT64_MAX : 0);
}

static inline int64_t trace_unzigzag(uint64_t value) { return (int64_t)(value >> 1) ^ -(int64_t)(value & 1); }

/// Writes a varint, returns its length. `out` has room for TRACE_VARINT_BYTES_MAX.
static inline size_t trace_put_varint(uint8_t *out, uint64_t value) {
  size_t length = 0;
  while (value >= 0x80) {
    out[length++] = (uint8_t)(value | 0x80);
    value >>= 7;
  }
  out[length++] = (uint8_t)value;
  return length;
}

/// Reads a varint from [at, end), returns its length; 0 when it is cut off or longer than 64 bits.
static inline size_t trace_get_varint(const uint8_t *at, const uint8_t *end, uint64_t *value) {
  uint64_t result = 0;
  for (size_t length = 0; length < TRACE_VARINT_BYTES_MAX && at + length < end; length++) {
    uint64_t bits = at[length] & 0x7fu;
    if (length == TRACE_VARINT_BYTES_MAX - 1 && bits > 1) return 0;
    result |= bits << (7 * length);
    if (at[length] < 0x80) {
      *value = result;
      return length + 1;
    }
  }
  return 0;
}

#endif
