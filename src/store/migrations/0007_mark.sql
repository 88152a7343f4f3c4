-- Which log belongs to the database: the first transaction of a log renews the mark and keeps the one before it. Older versions
-- do not open this schema, so none of them begins a log without it.
CREATE TABLE mark (
    one INTEGER NOT NULL PRIMARY KEY CHECK (one = 1),
    now BLOB NOT NULL,
    before BLOB
) STRICT;
INSERT INTO mark VALUES (1, randomblob(16), NULL);
