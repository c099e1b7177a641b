// What does replacing random entries of a large table cost, with sizes mixed as programs mix them?
//
//   churn leaf|references SLOTS OPERATIONS
//
// The live set is exactly the table in both, for every contender. The table is churn_table.h's.
#include "measure.h"

#include "churn_table.h"

static void *root;

int main(int argc, char **argv) {
  if (argc != 4) mem_fail("usage: churn leaf|references SLOTS OPERATIONS");
  bool references = strcmp(argv[1], "references") == 0;
  uint32_t slots = (uint32_t)strtoul(argv[2], NULL, 10) & ~1u;
  uint64_t operations = strtoull(argv[3], NULL, 10);
  struct random random = {42};
  if (slots == 0) mem_fail("churn: at least two slots");

  spread_shares();
  mem_start();
  mem_root(&root);
  mem_root_store(&root, mem_array(slots));
  churn_fill(root, references, slots, &random);

  struct measure m = measure_begin();
  uint64_t seen = churn_run(root, references, slots, operations, &random);
  measure_end(&m);

  report_open("churn", argv[1]);
  report_u64("slots", slots);
  report_close(&m, operations, seen);
  mem_finish();
  return 0;
}
