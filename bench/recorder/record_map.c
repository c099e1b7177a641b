#include "record_map.h"

#include <sys/mman.h>

enum {
  // Enough for small programs without growing once; a page or two when unused.
  RECORD_MAP_CAPACITY_START = 1 << 14,
};

static void *record_map_pages(size_t bytes) {
  void *pages = mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  return pages == MAP_FAILED ? NULL : pages;
}

static size_t record_map_home(const struct record_map *map, uintptr_t address) {
  // Blocks are 16 bytes apart; the multiplier (2^64 / golden ratio) spreads neighbours over the table.
  return (size_t)(((uint64_t)(address >> 4) * 0x9e3779b97f4a7c15u) >> 20) & (map->capacity - 1);
}

static void record_map_place(struct record_map *map, struct record_block block) {
  size_t i = record_map_home(map, block.address);
  while (map->entries[i].address)
    i = (i + 1) & (map->capacity - 1);
  map->entries[i] = block;
  map->used++;
}

static bool record_map_grow(struct record_map *map) {
  struct record_block *old = map->entries;
  size_t old_capacity = map->capacity;
  struct record_block *entries = record_map_pages(2 * old_capacity * sizeof *entries);
  if (!entries) return false;
  map->entries = entries;
  map->capacity = 2 * old_capacity;
  map->used = 0;
  for (size_t i = 0; i < old_capacity; i++)
    if (old[i].address) record_map_place(map, old[i]);
  munmap(old, old_capacity * sizeof *old);
  return true;
}

/// Room on the free stack for every slot there is, so that removing a block cannot fail.
static bool record_map_grow_free_slots(struct record_map *map) {
  if (map->slot_count < map->free_capacity) return true;
  size_t bytes = map->free_capacity * sizeof *map->free_slots;
  void *moved = mremap(map->free_slots, bytes, 2 * bytes, MREMAP_MAYMOVE);
  if (moved == MAP_FAILED) return false;
  map->free_slots = moved;
  map->free_capacity *= 2;
  return true;
}

bool record_map_start(struct record_map *map) {
  map->capacity = RECORD_MAP_CAPACITY_START;
  map->free_capacity = RECORD_MAP_CAPACITY_START;
  map->entries = record_map_pages(map->capacity * sizeof *map->entries);
  map->free_slots = record_map_pages(map->free_capacity * sizeof *map->free_slots);
  return map->entries && map->free_slots;
}

bool record_map_add(struct record_map *map, uintptr_t address, uint64_t size_bytes, uint32_t *out_slot) {
  if (2 * (map->used + 1) > map->capacity && !record_map_grow(map)) return false;
  uint32_t slot;
  if (map->free_count) {
    slot = map->free_slots[--map->free_count];
  } else {
    if (map->slot_count == UINT32_MAX || !record_map_grow_free_slots(map)) return false;
    slot = map->slot_count++;
  }
  record_map_place(map, (struct record_block){.address = address, .size_bytes = size_bytes, .slot = slot});
  *out_slot = slot;
  return true;
}

struct record_block *record_map_find(struct record_map *map, uintptr_t address) {
  size_t i = record_map_home(map, address);
  for (; map->entries[i].address; i = (i + 1) & (map->capacity - 1))
    if (map->entries[i].address == address) return &map->entries[i];
  return NULL;
}

/// Empties an entry and moves later ones of its run back, so that no run is ever interrupted and there is
/// no need for tombstones: a program that allocates for hours leaves the table as it was.
static void record_map_erase(struct record_map *map, size_t hole) {
  size_t mask = map->capacity - 1;
  for (size_t i = (hole + 1) & mask; map->entries[i].address; i = (i + 1) & mask) {
    size_t home = record_map_home(map, map->entries[i].address);
    if (((i - home) & mask) >= ((i - hole) & mask)) {
      map->entries[hole] = map->entries[i];
      hole = i;
    }
  }
  map->entries[hole].address = 0;
  map->used--;
}

void record_map_remove(struct record_map *map, struct record_block *block) {
  map->free_slots[map->free_count++] = block->slot;
  record_map_erase(map, (size_t)(block - map->entries));
}

void record_map_move(struct record_map *map, struct record_block *block, uintptr_t address,
                     uint64_t size_bytes) {
  struct record_block moved = {.address = address, .size_bytes = size_bytes, .slot = block->slot};
  record_map_erase(map, (size_t)(block - map->entries));
  record_map_place(map, moved);
}
