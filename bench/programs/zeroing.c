// What does this machine allow an allocator that hands out zeroed memory: how long does clearing take?
//
//   zeroing ROUNDS COLD_MIB
//
// memset of hot memory in pieces of 4 KiB to 2 MiB, of COLD_MIB MiB that is longer in no cache, and stores of a size
// that the compiler knows into slots of 16 to 128 bytes side by side in 32 KiB, as a window of an allocator has them.
// memset_..._ps is for 64 bytes, object_..._ps for one slot, each the fastest of ROUNDS. cpu_ns is for slots of 64.
#include "measure.h"

enum { WINDOW_BYTES = 32 << 10, PIECE_BYTES = 2 << 20, ROUND_BYTES = 64 << 20, OBJECTS = 1 << 20 };

static uint64_t least(uint64_t a, uint64_t b) {
  return a < b ? a : b;
}

/// Clears `total` bytes in pieces, one after the other through `span` bytes; picoseconds for 64 bytes.
static uint64_t clear_pieces(char *memory, size_t piece, size_t span, size_t total) {
  struct measure m = measure_begin();
  for (size_t done = 0; done < total; done += piece) memset(mem_opaque(memory + done % span), 0, piece);
  measure_end(&m);
  return m.cpu_ns * 1000 / (total / 64);
}

/// Nanoseconds for OBJECTS slots; always inlined, so that the size is a constant.
static inline __attribute__((always_inline)) uint64_t clear_objects(char *memory, size_t bytes) {
  struct measure m = measure_begin();
  for (size_t i = 0, at = 0; i < OBJECTS; i++) {
    __builtin_memset(mem_opaque(memory + at), 0, bytes);
    at += bytes;
    if (at == WINDOW_BYTES) at = 0;
  }
  measure_end(&m);
  return m.cpu_ns;
}

int main(int argc, char **argv) {
  if (argc != 3) mem_fail("usage: zeroing ROUNDS COLD_MIB");
  unsigned rounds = (unsigned)strtoul(argv[1], NULL, 10);
  size_t cold_bytes = strtoul(argv[2], NULL, 10) << 20;
  if (rounds == 0 || cold_bytes < PIECE_BYTES) mem_fail("zeroing: arguments out of range");
  char *memory = aligned_alloc(4096, cold_bytes);
  if (!memory) mem_fail("zeroing: no memory");
  memset(memory, 1, cold_bytes);

  static const struct {
    const char *field;
    size_t bytes;
  } pieces[] = {
      {"memset_4k_ps", 4 << 10}, {"memset_32k_ps", 32 << 10}, {"memset_256k_ps", 256 << 10}, {"memset_2m_ps", 2 << 20}};
  enum { PIECES = sizeof pieces / sizeof *pieces, SIZES = 4 };
  static const char *const object_fields[SIZES] = {"object_16_ps", "object_32_ps", "object_64_ps", "object_128_ps"};
  uint64_t hot[PIECES], objects[SIZES], cold = UINT64_MAX;
  memset(hot, 255, sizeof hot);
  memset(objects, 255, sizeof objects);
  for (unsigned round = 0; round < rounds; round++) {
    for (int i = 0; i < PIECES; i++)
      hot[i] = least(hot[i], clear_pieces(memory, pieces[i].bytes, pieces[i].bytes, ROUND_BYTES));
    cold = least(cold, clear_pieces(memory, PIECE_BYTES, cold_bytes / PIECE_BYTES * PIECE_BYTES, cold_bytes));
    objects[0] = least(objects[0], clear_objects(memory, 16));
    objects[1] = least(objects[1], clear_objects(memory, 32));
    objects[2] = least(objects[2], clear_objects(memory, 64));
    objects[3] = least(objects[3], clear_objects(memory, 128));
  }

  struct measure m = {.cpu_ns = objects[2], .wall_ns = objects[2]};
  report_open("limits", "zeroing");
  for (int i = 0; i < PIECES; i++) report_u64(pieces[i].field, hot[i]);
  report_u64("memset_cold_ps", cold);
  for (int i = 0; i < SIZES; i++) report_u64(object_fields[i], objects[i] * 1000 / OBJECTS);
  report_close(&m, OBJECTS, 1);
  free(memory);
  return 0;
}
