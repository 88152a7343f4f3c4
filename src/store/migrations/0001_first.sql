-- The first schema. Migrations are only ever added: what stands in a released file never changes.
-- Wall-clock times are milliseconds since 1970. Words of closed lists are stored as they are written on the wire.

-- "piln": says whose database this is, so that a foreign file is never written to.
PRAGMA application_id = 0x70696C6E;

CREATE TABLE session (
    seq INTEGER PRIMARY KEY,
    session_id TEXT NOT NULL UNIQUE,
    parent_session_id TEXT REFERENCES session (session_id) ON DELETE CASCADE,
    cwd TEXT NOT NULL,
    created_at INTEGER NOT NULL,
    updated_at INTEGER NOT NULL,
    title TEXT,
    title_source TEXT,
    model TEXT,
    closed_at INTEGER,
    -- The newest `session/update` number that a finished turn used.
    last_update INTEGER NOT NULL DEFAULT 0,
    -- The process that runs turns of this session; all three are null when nobody does.
    owner_pid INTEGER,
    owner_started INTEGER,
    owner_boot TEXT
) STRICT;
CREATE INDEX session_by_update ON session (updated_at DESC, seq DESC);
CREATE INDEX session_by_cwd ON session (cwd, updated_at DESC, seq DESC);
CREATE INDEX session_by_parent ON session (parent_session_id) WHERE parent_session_id IS NOT NULL;

CREATE TABLE turn (
    seq INTEGER PRIMARY KEY,
    turn_id TEXT NOT NULL UNIQUE,
    session_id TEXT NOT NULL REFERENCES session (session_id) ON DELETE CASCADE,
    message_id TEXT NOT NULL,
    parent_id TEXT NOT NULL,
    prompt_request TEXT NOT NULL,
    started_at INTEGER NOT NULL,
    owner_pid INTEGER NOT NULL,
    owner_started INTEGER NOT NULL,
    owner_boot TEXT NOT NULL,
    -- Null until the turn has its terminal record.
    ended_at INTEGER,
    stop TEXT,
    abort_id TEXT,
    model TEXT,
    usage TEXT,
    last_update INTEGER
) STRICT;
CREATE INDEX turn_by_session ON turn (session_id, seq);
CREATE INDEX turn_open ON turn (session_id, seq) WHERE ended_at IS NULL;

CREATE TRIGGER turn_is_final BEFORE UPDATE ON turn WHEN OLD.ended_at IS NOT NULL
BEGIN
    SELECT RAISE(ABORT, 'an ended turn never changes');
END;

CREATE TABLE message (
    seq INTEGER PRIMARY KEY,
    message_id TEXT NOT NULL UNIQUE,
    session_id TEXT NOT NULL REFERENCES session (session_id) ON DELETE CASCADE,
    turn_id TEXT,
    role TEXT NOT NULL,
    created_at INTEGER NOT NULL,
    model TEXT
) STRICT;
CREATE INDEX message_by_session ON message (session_id, seq);

-- `body` is the part as JSON. Text that streams in later stands in `part_text`, one row for each piece: appending costs
-- what the piece costs, however long the text already is.
CREATE TABLE part (
    message_seq INTEGER NOT NULL REFERENCES message (seq) ON DELETE CASCADE,
    ordinal INTEGER NOT NULL,
    body TEXT NOT NULL,
    PRIMARY KEY (message_seq, ordinal)
) STRICT;

CREATE TABLE part_text (
    seq INTEGER PRIMARY KEY,
    message_seq INTEGER NOT NULL,
    ordinal INTEGER NOT NULL,
    text TEXT NOT NULL,
    FOREIGN KEY (message_seq, ordinal) REFERENCES part (message_seq, ordinal) ON DELETE CASCADE
) STRICT;
CREATE INDEX part_text_by_part ON part_text (message_seq, ordinal, seq);

-- Append-only. No foreign key: a demand to stop a session that does not exist is recorded all the same.
-- Rows with the same `record_key` (one title run, one attempt) are states of one record; the newest is the record.
CREATE TABLE diagnostic (
    seq INTEGER PRIMARY KEY AUTOINCREMENT,
    session_id TEXT NOT NULL,
    turn_id TEXT,
    kind TEXT NOT NULL,
    record_key TEXT,
    body TEXT NOT NULL
) STRICT;
CREATE INDEX diagnostic_by_session ON diagnostic (session_id, seq);
CREATE INDEX diagnostic_by_key ON diagnostic (record_key, seq) WHERE record_key IS NOT NULL;
CREATE UNIQUE INDEX diagnostic_abort_of_turn ON diagnostic (turn_id) WHERE kind = 'abort';
CREATE INDEX diagnostic_abort ON diagnostic (seq) WHERE kind = 'abort';

CREATE TRIGGER diagnostic_is_final BEFORE UPDATE ON diagnostic
BEGIN
    SELECT RAISE(ABORT, 'a diagnostic record never changes');
END;
