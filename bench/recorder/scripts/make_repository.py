# Writes a git fast-import stream: a history of small edits to text files in folders, for git's trace.
# Deterministic. Usage: make_repository.py COMMITS | git fast-import
import random
import sys

random.seed(20150314)

WORDS = ("arena page span slot mark sweep grey black white root barrier cycle pace layout window "
         "refill").split()


def line():
    return " ".join(random.choice(WORDS) for _ in range(random.randrange(3, 12))) + "\n"


def edit(lines):
    for _ in range(random.randrange(1, 6)):
        at = random.randrange(len(lines))
        action = random.randrange(3)
        if action == 0:
            lines.insert(at, line())
        elif action == 1 or len(lines) < 20:
            lines[at] = line()
        else:
            del lines[at:at + random.randrange(1, 4)]


def data(text):
    return "data %d\n%s\n" % (len(text), text)


files = {"%s/%s.txt" % (folder, name): [line() for _ in range(random.randrange(40, 160))]
         for folder in WORDS[:8] for name in WORDS}
pending = sorted(files)
out = sys.stdout
for commit in range(int(sys.argv[1])):
    out.write("commit refs/heads/main\n")
    out.write("committer Somebody <somebody@example.org> %d +0000\n" % (1426291200 + 60 * commit))
    out.write(data("Change %d: %s" % (commit, line())))
    changed = pending or random.sample(sorted(files), random.randrange(1, 5))
    for path in changed:
        if not pending:
            edit(files[path])
        out.write("M 100644 inline %s\n%s" % (path, data("".join(files[path]))))
    pending = []
