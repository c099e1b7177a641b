# Writes a C file of our own making for cc1's trace: structures, tables, functions with loops, switches and
# inline helpers, all different, none meaningful. Deterministic. Usage: make_c_source.py FUNCTIONS > file.c
import random
import sys

random.seed(20150314)

TYPES = ["int", "unsigned", "long", "unsigned long", "short", "unsigned char", "double"]
OPERATORS = ["+", "-", "*", "^", "&", "|"]


def expression(names, depth):
    if depth == 0 or random.random() < 0.2:
        return random.choice(names) if random.random() < 0.7 else str(random.randrange(1, 999))
    left, right = expression(names, depth - 1), expression(names, depth - 1)
    return "(%s %s %s)" % (left, random.choice(OPERATORS), right)


def structure(number):
    fields = ["  %s field%d;" % (random.choice(TYPES), i) for i in range(random.randrange(3, 9))]
    fields.append("  struct record%d *next;" % number)
    return "struct record%d {\n%s\n};\n" % (number, "\n".join(fields))


def table(number):
    values = ", ".join(str(random.randrange(1 << 16)) for _ in range(random.randrange(16, 64)))
    return "static const unsigned table%d[] = {%s};\n" % (number, values)


def statement(names, depth, indent):
    pad = "  " * indent
    kind = random.randrange(6 if depth else 2)
    name = random.choice(names)
    if kind < 2:
        return "%s%s = %s;\n" % (pad, name, expression(names, 3))
    body = "".join(statement(names, depth - 1, indent + 1) for _ in range(random.randrange(1, 4)))
    if kind == 2:
        return "%sif (%s > %s) {\n%s%s}\n" % (pad, name, expression(names, 2), body, pad)
    if kind == 3:
        return "%sfor (long i%d = 0; i%d < %d; i%d++) {\n%s%s}\n" % (
            pad, indent, indent, random.randrange(2, 40), indent, body, pad)
    if kind == 4:
        cases = "".join("%scase %d:\n%s%s  break;\n" % (pad, i, statement(names, 0, indent + 1), pad)
                        for i in range(random.randrange(2, 7)))
        return "%sswitch (%s & 7) {\n%s%sdefault: %s++;\n%s}\n" % (pad, name, cases, pad, name, pad)
    return "%swhile (%s & 1) {\n%s%s  %s >>= 1;\n%s}\n" % (pad, name, body, pad, name, pad)


def function(number):
    names = ["a", "b", "c", "d"]
    body = "".join(statement(names, 3, 1) for _ in range(random.randrange(3, 8)))
    call = "  d += work%d(b, c);\n" % random.randrange(number) if number else ""
    walk = ("  for (const struct record%d *r = list; r; r = r->next) d += (long)r->field0;\n" % number)
    return ("long work%d(long a, long b);\nstatic inline long walk%d(const struct record%d *list) {\n"
            "  long d = 0;\n%s  return d;\n}\n"
            "long work%d(long a, long b) {\n  long c = (long)table%d[a & 15], d = a ^ b;\n%s%s"
            "  struct record%d r = {0};\n  r.field0 = (__typeof__(r.field0))d;\n"
            "  return c + d + walk%d(&r);\n}\n"
            % (number, number, number, walk, number, number, body, call, number, number))


print("#include <stdio.h>\n#include <stdlib.h>\n#include <string.h>\n#include <math.h>\n")
for number in range(int(sys.argv[1])):
    print(structure(number))
    print(table(number))
    print(function(number))
