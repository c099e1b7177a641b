-- What sqlite3 does when its bench trace is recorded: make tables, fill them from recursive queries, index,
-- join, group, update, delete, window functions, text functions. In memory, deterministic.
CREATE TABLE customer (id INTEGER PRIMARY KEY, name TEXT NOT NULL, city TEXT NOT NULL);
CREATE TABLE invoice (id INTEGER PRIMARY KEY, customer INTEGER NOT NULL, day INTEGER NOT NULL, note TEXT);
CREATE TABLE line (invoice INTEGER NOT NULL, item TEXT NOT NULL, quantity INTEGER NOT NULL,
                   price INTEGER NOT NULL);

BEGIN;
INSERT INTO customer
  WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 3000)
  SELECT i, 'customer ' || (i * 7919 % 3001), 'city ' || (i % 37) FROM n;
INSERT INTO invoice
  WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 12000)
  SELECT i, 1 + i * 31 % 3000, i % 365, printf('note %06d on %s', i, hex(i * 2654435761 % 4294967296)) FROM n;
INSERT INTO line
  WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 40000)
  SELECT 1 + i * 17 % 12000, 'item ' || (i * 101 % 997), 1 + i % 9, 1 + i * 13 % 500 FROM n;
COMMIT;

CREATE INDEX invoice_customer ON invoice (customer, day);
CREATE INDEX line_invoice ON line (invoice);
CREATE INDEX line_item ON line (item, price);
ANALYZE;

SELECT city, count(*), sum(quantity * price) FROM customer
  JOIN invoice ON invoice.customer = customer.id JOIN line ON line.invoice = invoice.id
  GROUP BY city ORDER BY 3 DESC LIMIT 10;
SELECT name, total, rank() OVER (ORDER BY total DESC) FROM
  (SELECT customer.name AS name, sum(quantity * price) AS total FROM customer
   JOIN invoice ON invoice.customer = customer.id JOIN line ON line.invoice = invoice.id GROUP BY customer.id)
  LIMIT 20;
SELECT item, group_concat(DISTINCT price) FROM line WHERE item LIKE 'item 1%'
  GROUP BY item ORDER BY item LIMIT 30;
SELECT count(DISTINCT upper(substr(note, 1, 9)) || replace(note, '0', 'o')) FROM invoice;

UPDATE line SET price = price + 1
  WHERE item IN (SELECT item FROM line GROUP BY item HAVING sum(quantity) > 200);
DELETE FROM invoice WHERE day BETWEEN 100 AND 110;
DELETE FROM line WHERE invoice NOT IN (SELECT id FROM invoice);
CREATE VIEW monthly AS
  SELECT day / 30 AS month, customer.city AS city, sum(quantity * price) AS total FROM customer
  JOIN invoice ON invoice.customer = customer.id JOIN line ON line.invoice = invoice.id GROUP BY 1, 2;
SELECT month, max(total), min(total), avg(total) FROM monthly GROUP BY month ORDER BY month;
SELECT json_group_array(json_object('city', city, 'total', total))
  FROM (SELECT * FROM monthly WHERE month = 3);
PRAGMA integrity_check;
