// Map of live blocks: address -> slot and size, and which slot a new block gets (trace_format.h: the one
// freed most recently).
//
// Invariants  used <= capacity / 2, so that probing ends soon; slots in the map and slots on the free stack
//             together are exactly 0 .. slot_count - 1.
// Callers     the recorder, under its lock.
// Not here    any use of malloc: this runs inside malloc. Memory is mapped directly.
#ifndef RECORD_MAP_H
#define RECORD_MAP_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct record_block {
  uintptr_t address; ///< 0: this entry is empty
  uint64_t size_bytes;
  uint32_t slot;
};

struct record_map {
  struct record_block *entries;
  size_t capacity; ///< a power of two
  size_t used;
  uint32_t *free_slots; ///< a stack; room for every slot
  size_t free_count;
  size_t free_capacity;
  uint32_t slot_count;
};

/// False when the system refuses memory.
bool record_map_start(struct record_map *map);
/// A new block, which gets its slot here. The address must not be in the map. False when memory is refused.
bool record_map_add(struct record_map *map, uintptr_t address, uint64_t size_bytes, uint32_t *out_slot);
/// The block at an address, or NULL. Valid until the next change of the map.
struct record_block *record_map_find(struct record_map *map, uintptr_t address);
/// Takes the block out and frees its slot. `block` is what record_map_find() returned.
void record_map_remove(struct record_map *map, struct record_block *block);
/// A block moved by realloc: same slot, new address and size.
void record_map_move(struct record_map *map, struct record_block *block, uintptr_t address,
                     uint64_t size_bytes);

#endif
