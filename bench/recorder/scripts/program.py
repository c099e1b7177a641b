# What python3 does when its bench trace is recorded: classes, dictionaries, strings, json, regular
# expressions, sorting, a small expression parser and interpreter. Deterministic.
#
# Python serves blocks up to 512 bytes from arenas of its own, which a malloc trace does not see; record.sh is
# called with PYTHONMALLOC=malloc, so that every object is a malloc.
import json
import re
import random
from collections import defaultdict, deque

random.seed(20150314)

WORDS = ["arena", "page", "span", "slot", "mark", "sweep", "grey", "black", "white", "root",
         "barrier", "cycle"]


class Order:
    def __init__(self, number, customer, lines):
        self.number = number
        self.customer = customer
        self.lines = lines

    def total(self):
        return sum(quantity * price for _, quantity, price in self.lines)

    def as_dictionary(self):
        return {"number": self.number, "customer": self.customer, "total": self.total(),
                "lines": [{"item": i, "quantity": q, "price": p} for i, q, p in self.lines]}


def make_orders(count):
    orders = []
    for number in range(count):
        lines = [(random.choice(WORDS) + str(random.randrange(50)), random.randrange(1, 9),
                  random.randrange(1, 500))
                 for _ in range(random.randrange(1, 6))]
        orders.append(Order(number, "customer-%d" % random.randrange(count // 10 + 1), lines))
    return orders


def totals_by_customer(orders):
    totals = defaultdict(int)
    for order in orders:
        totals[order.customer] += order.total()
    return sorted(totals.items(), key=lambda pair: (-pair[1], pair[0]))


def json_round_trip(orders):
    text = json.dumps([order.as_dictionary() for order in orders], indent=1)
    return sum(entry["total"] for entry in json.loads(text)), text


def scan_text(text):
    found = defaultdict(list)
    for match in re.finditer(r'"(item|customer)": "([a-z]+)-?(\d+)"', text):
        found[match.group(2)].append(int(match.group(3)))
    return {word: len(set(numbers)) for word, numbers in found.items()}


TOKEN = re.compile(r"\s*(?:(\d+)|(.))")


def parse(tokens, minimum=0):
    kind, value = tokens.popleft()
    if value == "(":
        tree = parse(tokens)
        tokens.popleft()
    else:
        tree = ("number", int(value))
    precedence = {"+": 1, "-": 1, "*": 2}
    while tokens and precedence.get(tokens[0][1], -1) >= minimum and tokens[0][1] in precedence:
        operator = tokens.popleft()[1]
        tree = (operator, tree, parse(tokens, precedence[operator] + 1))
    return tree


def evaluate(tree):
    if tree[0] == "number":
        return tree[1]
    left, right = evaluate(tree[1]), evaluate(tree[2])
    return {"+": left + right, "-": left - right, "*": left * right % 1000003}[tree[0]]


def expression(depth):
    if depth == 0:
        return str(random.randrange(100))
    return "(%s %s %s)" % (expression(depth - 1), random.choice("+-*"), expression(depth - 1))


def main():
    orders = make_orders(2500)
    best = totals_by_customer(orders)[:3]
    total, text = json_round_trip(orders)
    words = scan_text(text)
    value = 0
    for _ in range(80):
        source = expression(6)
        tokens = deque(("number" if n else "sign", n or s) for n, s in TOKEN.findall(source))
        value += evaluate(parse(tokens))
    print(best, total, len(words), value)


main()
