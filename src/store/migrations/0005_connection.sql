-- The connections that records name, as JSON: as each began, and as it was when it had ended. Older versions record none.
CREATE TABLE connection (
    connection_id TEXT NOT NULL PRIMARY KEY,
    opened TEXT NOT NULL,
    -- Null while it is open, and for ever if its process died.
    closed TEXT
) STRICT;
