// Proves for one trace what replay_links.h promises: every link refers to a block that is live when the link
// is made, was allocated earlier, and still is the same live block when the holder dies. `test_links TRACE`.
#include "../programs/replay_links.h"

struct test_block {
  uint64_t birth; ///< 0: the slot is free; otherwise the number of the event, from 1
  uint32_t link;
  uint64_t link_birth;
};

static struct test_block *test_blocks;
static uint64_t test_links, test_unlinked, test_wrong;

static void test_death(uint32_t slot) {
  struct test_block *block = &test_blocks[slot];
  if (block->link != REPLAY_NO_LINK && test_blocks[block->link].birth != block->link_birth) test_wrong++;
  block->birth = 0;
}

static void test_birth(struct replay_event event, uint64_t number) {
  struct test_block block = {.birth = number, .link = event.link};
  if (event.link != REPLAY_NO_LINK) {
    block.link_birth = test_blocks[event.link].birth;
    if (block.link_birth == 0 || event.link == event.slot || replay_size(event) < REPLAY_LINKED_BYTES_MIN)
      test_wrong++;
    test_links++;
  } else if (replay_size(event) >= REPLAY_LINKED_BYTES_MIN) {
    test_unlinked++;
  }
  test_blocks[event.slot] = block;
}

int main(int argument_count, char **arguments) {
  if (argument_count != 2) return 3;
  struct replay_trace trace;
  replay_trace_load(&trace, arguments[1]);
  replay_choose_links(&trace);
  test_blocks = replay_map_pages(trace.path, trace.header.slot_count * sizeof *test_blocks);
  // Up to the end of the recording: what is left then is dropped all at once.
  for (size_t i = 0; i < trace.count_to_end; i++) {
    struct replay_event event = trace.events[i];
    if (replay_kind(event) == REPLAY_FREE || replay_kind(event) == REPLAY_REALLOC) test_death(event.slot);
    if (replay_is_birth(event)) test_birth(event, i + 1);
  }
  fprintf(stderr, "%llu links, %llu blocks without, %llu wrong\n", (unsigned long long)test_links,
          (unsigned long long)test_unlinked, (unsigned long long)test_wrong);
  return test_wrong == 0 && test_links > 0 ? 0 : 1;
}
