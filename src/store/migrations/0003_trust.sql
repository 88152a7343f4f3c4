-- Workspaces that the user trusts. Older versions know nothing of them and trust none.
CREATE TABLE trust (
    -- Without links.
    path TEXT NOT NULL PRIMARY KEY,
    -- Of what the workspace tells whoever works in it; when that changes, the trust no longer holds.
    digest TEXT NOT NULL,
    -- Milliseconds since 1970.
    at INTEGER NOT NULL
) STRICT;
