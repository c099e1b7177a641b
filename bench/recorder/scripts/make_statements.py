# Writes SQL statements of many shapes against the tables of queries.sql, one at a time as an application
# would send them, so that sqlite3 parses, plans and finishes each. Deterministic.
# Usage: make_statements.py COUNT
import random
import sys

random.seed(20150314)


def text(length):
    return "".join(random.choice("abcdefghijklmnopqrstuvwxyz ") for _ in range(random.randrange(1, length)))


def statement(number):
    customer, invoice, day = random.randrange(1, 3001), random.randrange(1, 12001), random.randrange(365)
    return random.choice([
        "INSERT INTO invoice VALUES (%d, %d, %d, '%s');" % (100000 + number, customer, day, text(120)),
        "INSERT INTO line VALUES (%d, 'item %d', %d, %d);" % (invoice, number, day % 9 + 1, number % 500),
        "UPDATE invoice SET note = note || ' %s' WHERE id = %d;" % (text(60), invoice),
        "UPDATE customer SET name = '%s' WHERE id = %d;" % (text(30), customer),
        "DELETE FROM line WHERE invoice = %d AND price < %d;" % (invoice, day),
        "SELECT * FROM customer WHERE id = %d;" % customer,
        "SELECT day, group_concat(note, '; ') FROM invoice WHERE customer = %d "
        "GROUP BY day ORDER BY day;" % customer,
        "SELECT c.name, sum(l.quantity * l.price) FROM customer c JOIN invoice i ON i.customer = c.id "
        "JOIN line l ON l.invoice = i.id WHERE c.id BETWEEN %d AND %d GROUP BY c.id;"
        % (customer, customer + 9),
        "SELECT item, price, row_number() OVER (PARTITION BY quantity ORDER BY price) FROM line "
        "WHERE invoice = %d;" % invoice,
        "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < %d) "
        "SELECT sum(i), printf('%%08d', max(i)) FROM n "
        "WHERE i IN (SELECT day FROM invoice WHERE customer = %d);"
        % (day, customer),
    ])


print("\n".join(statement(number) for number in range(int(sys.argv[1]))))
