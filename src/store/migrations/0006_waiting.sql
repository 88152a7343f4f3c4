-- Prompts that were taken and wait for their turn; a row goes when its turn begins. Versions that do not know them leave them
-- alone, and one that knows them finds those whose process has died.
CREATE TABLE waiting (
    seq INTEGER PRIMARY KEY,
    turn_id TEXT NOT NULL UNIQUE,
    session_id TEXT NOT NULL REFERENCES session (session_id) ON DELETE CASCADE,
    owner_pid INTEGER NOT NULL,
    owner_started INTEGER NOT NULL,
    owner_boot TEXT NOT NULL,
    owner_lock TEXT,
    -- The turn, its prompt and its request, as JSON.
    body TEXT NOT NULL
) STRICT;
CREATE INDEX waiting_by_session ON waiting (session_id);

-- Title generations whose end is not on record. Its turn's process is the one that writes the title.
CREATE TABLE open_title (
    title_run_id TEXT NOT NULL PRIMARY KEY,
    turn_id TEXT NOT NULL,
    session_id TEXT NOT NULL REFERENCES session (session_id) ON DELETE CASCADE
) STRICT;
CREATE INDEX open_title_by_session ON open_title (session_id);

-- When it was written, in milliseconds since 1970: a sign of life of the process that wrote it. Null in older rows.
ALTER TABLE part ADD COLUMN at INTEGER;
ALTER TABLE part_text ADD COLUMN at INTEGER;
