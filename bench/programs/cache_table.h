// The cache that cache.c works on: a hash table of entries, one per thread, every key always present.
//
// An entry is five objects: itself (48 bytes), a value without references (32 to 512 bytes, 101 on average) and a list
// of two parts (32 bytes each); entries of a bucket hang in a chain. Replacing makes all of them anew. Every lookup
// reads the whole value and the parts and compares them with the sum in the entry.
#ifndef BENCH_CACHE_TABLE_H
#define BENCH_CACHE_TABLE_H

#include "measure.h"

struct part {
  struct part *next;
  uint64_t stamp;
  uint64_t unused[2];
};

struct entry {
  struct entry *next;
  uint64_t *value;
  struct part *parts;
  uint64_t key, sum;
  uint32_t words, stamp;
};

/// Bytes of a value by four random bits.
static const uint16_t cache_value_bytes[16] = {32, 32, 32, 32, 32, 48, 48, 48, 64, 64, 64, 96, 128, 128, 256, 512};

enum {
  CACHE_PARTS = 2,
  CACHE_ENTRY_BYTES = 48 + 101 + CACHE_PARTS * 32, ///< on average, without its share of the table
  CACHE_REPLACE_OF_4 = 3,                          ///< so many of four operations replace what they looked up
};

struct cache {
  struct entry **buckets; ///< an object of the heap, as a root
  uint32_t keys, shift;   ///< 64 - log2(buckets)
  uint64_t held_bytes;    ///< of the objects, as asked for
  uint64_t seen;          ///< what all lookups read, folded
  struct random random;
  uint32_t stamp;
};

static mem_type cache_entry_type, cache_part_type;

static inline void cache_types(void) {
  cache_entry_type = mem_type_make(sizeof(struct entry), 7);
  cache_part_type = mem_type_make(sizeof(struct part), 1);
}

static inline uint32_t cache_bucket(const struct cache *cache, uint64_t key) {
  return (uint32_t)((key * UINT64_C(0x9e3779b97f4a7c15)) >> cache->shift);
}

static inline uint64_t cache_sum(const uint64_t *value, uint32_t words) {
  uint64_t sum = 0;
  for (uint32_t i = 0; i < words; i++) sum += value[i];
  return sum;
}

static struct entry *cache_make(struct cache *cache, uint64_t key) {
  uint32_t stamp = cache->stamp++;
  uint32_t words = cache_value_bytes[random_next(&cache->random) >> 60] / 8u;
  uint64_t *value = mem_opaque(mem_leaf(words * 8u)), sum = 0;
  for (uint32_t i = 0; i < words; i++) sum += value[i] = key * 31 + stamp + i;
  struct part *parts = NULL;
  for (uint32_t i = 0; i < CACHE_PARTS; i++) {
    struct part *part = mem_opaque(mem_new_raw(cache_part_type, sizeof *part));
    mem_init(part, &part->next, parts);
    part->stamp = key + stamp + i;
    parts = part;
  }
  struct entry *entry = mem_opaque(mem_new_raw(cache_entry_type, sizeof *entry));
  mem_init(entry, &entry->value, value);
  mem_init(entry, &entry->parts, parts);
  entry->key = key;
  entry->sum = sum;
  entry->words = words;
  entry->stamp = stamp;
  return entry;
}

static void cache_drop(struct entry *entry) {
  if (!MEM_EXPLICIT_FREE) return;
  for (struct part *part = entry->parts, *next; part; part = next) {
    next = part->next;
    mem_free(part);
  }
  mem_free(entry->value);
  mem_free(entry);
}

/// Everything an entry leads to must be as it was made.
static void cache_verify(const struct entry *entry) {
  uint32_t i = CACHE_PARTS;
  for (const struct part *part = entry->parts; part; part = part->next)
    if (part->stamp != entry->key + entry->stamp + --i) mem_fail("cache: a part of an entry is damaged");
  if (i != 0 || cache_sum(entry->value, entry->words) != entry->sum) mem_fail("cache: an entry is damaged");
}

/// The slot that refers to the entry of `key`, and the object it is in.
static inline struct entry **cache_find(struct cache *cache, uint64_t key, void **holder) {
  struct entry **slot = &cache->buckets[cache_bucket(cache, key)];
  *holder = cache->buckets;
  while (*slot && (*slot)->key != key) {
    *holder = *slot;
    slot = &(*slot)->next;
  }
  return slot;
}

/// `bytes` of live data, each key once.
static void cache_build(struct cache *cache, uint64_t bytes, uint64_t seed) {
  cache->random = (struct random){seed};
  cache->keys = (uint32_t)(bytes / (CACHE_ENTRY_BYTES + 8));
  uint32_t log = 1;
  while ((UINT32_C(2) << log) < cache->keys) log++;
  cache->shift = 64 - log;
  size_t buckets = (size_t)1 << log;
  mem_root_store((void **)&cache->buckets, mem_array(buckets));
  cache->held_bytes = buckets * 8;
  for (uint32_t key = 0; key < cache->keys; key++) {
    struct entry *entry = cache_make(cache, key);
    uint32_t bucket = cache_bucket(cache, key);
    mem_store(entry, &entry->next, cache->buckets[bucket]);
    mem_store(cache->buckets, &cache->buckets[bucket], entry);
    cache->held_bytes += sizeof *entry + CACHE_PARTS * sizeof(struct part) + entry->words * 8;
  }
}

/// One operation: looks a random key up, verifies what it finds, and most of the time replaces it.
static void cache_operate(struct cache *cache) {
  uint64_t random = random_next(&cache->random);
  uint64_t key = ((random >> 32) * cache->keys) >> 32;
  void *holder;
  struct entry **slot = cache_find(cache, key, &holder), *old = *slot;
  if (!old) mem_fail("cache: a key is lost");
  cache_verify(old);
  cache->seen = cache->seen * 31 + old->sum;
  if ((random & 3) >= CACHE_REPLACE_OF_4) return;
  struct entry *entry = cache_make(cache, key);
  mem_store(entry, &entry->next, old->next);
  mem_store(holder, slot, entry);
  cache_drop(old);
}

/// Every key is there once and whole.
static void cache_check(struct cache *cache) {
  uint64_t found = 0, buckets = UINT64_C(1) << (64 - cache->shift);
  for (uint64_t i = 0; i < buckets; i++) {
    for (struct entry *entry = cache->buckets[i]; entry; entry = entry->next, found++) cache_verify(entry);
    mem_safepoint();
  }
  if (found != cache->keys) mem_fail("cache: keys were lost or doubled");
}

#endif
