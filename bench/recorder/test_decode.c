// Flips every bit of a small trace, makes the checksum right again, and lets the decoder read it: it must
// accept or refuse with exit code 2 and never crash, whatever a file with a right checksum says. `test_decode
// TRACE SCRATCH_FILE`; built with sanitizers by test.sh.
#include <sys/wait.h>

#include "../programs/replay_links.h"

static uint8_t test_bytes[1 << 16];

static void test_write(const char *path, size_t length) {
  struct trace_header header;
  memcpy(&header, test_bytes, sizeof header);
  size_t events = length - sizeof header - TRACE_CHECKSUM_BYTES;
  uint64_t sum =
      trace_hash(trace_hash(TRACE_HASH_START, test_bytes + sizeof header, events), &header, sizeof header);
  memcpy(test_bytes + length - sizeof sum, &sum, sizeof sum);
  int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC, 0600);
  if (fd < 0 || write(fd, test_bytes, length) != (ssize_t)length) exit(3);
  close(fd);
}

/// What a process of its own says about the file: its exit code, or 128 and more for a crash.
static int test_load(const char *path) {
  pid_t child = fork();
  if (child == 0) {
    struct replay_trace trace;
    if (!freopen("/dev/null", "w", stderr)) _exit(3);
    replay_trace_load(&trace, path);
    replay_choose_links(&trace);
    _exit(0);
  }
  int status = 0;
  waitpid(child, &status, 0);
  return WIFEXITED(status) ? WEXITSTATUS(status) : 128;
}

int main(int argument_count, char **arguments) {
  if (argument_count != 3) return 3;
  int fd = open(arguments[1], O_RDONLY);
  ssize_t length = read(fd, test_bytes, sizeof test_bytes);
  if (length < 64) return 3;
  int accepted = 0, refused = 0, crashed = 0;
  for (size_t bit = 0; bit < ((size_t)length - TRACE_CHECKSUM_BYTES) * 8; bit++) {
    test_bytes[bit / 8] ^= (uint8_t)(1u << bit % 8);
    test_write(arguments[2], (size_t)length);
    int code = test_load(arguments[2]);
    accepted += code == 0;
    refused += code == 2;
    crashed += code != 0 && code != 2;
    if (code != 0 && code != 2) fprintf(stderr, "bit %zu: exit code %d\n", bit, code);
    test_bytes[bit / 8] ^= (uint8_t)(1u << bit % 8);
  }
  fprintf(stderr, "%d accepted, %d refused, %d crashed\n", accepted, refused, crashed);
  return crashed == 0 && refused > 0 ? 0 : 1;
}
