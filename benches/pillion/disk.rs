//! The floors of the disk: what SQLite itself takes on the file system that the sessions are kept on.

use rusqlite::{Connection, OpenFlags};
use std::hint::black_box;
use std::path::Path;
use std::time::{Duration, Instant};

/// About as large as the records of a small turn.
const ROW_BYTES: usize = 1_000;

/// A database that waits for the disk with every commit.
pub(crate) struct Disk {
    conn: Connection,
    row: String,
}

impl Disk {
    pub(crate) fn open(dir: &Path) -> anyhow::Result<Self> {
        let (conn, row) = (connect(&dir.join("floor.db"))?, "x".repeat(ROW_BYTES));
        conn.execute_batch("PRAGMA journal_mode = WAL; PRAGMA synchronous = FULL; CREATE TABLE row (body TEXT)")?;
        Ok(Self { conn, row })
    }

    /// Commits one row and waits until the disk has it.
    pub(crate) fn commit(&self) -> anyhow::Result<Duration> {
        let since = Instant::now();
        self.conn.prepare_cached("INSERT INTO row (body) VALUES (?1)")?.execute([&self.row])?;
        Ok(since.elapsed())
    }
}

/// Makes a database with a table and a row in it.
pub(crate) fn make(file: &Path) -> anyhow::Result<Duration> {
    let since = Instant::now();
    let conn = connect(file)?;
    conn.execute_batch("PRAGMA journal_mode = WAL; PRAGMA synchronous = NORMAL; CREATE TABLE row (body TEXT)")?;
    conn.execute_batch("INSERT INTO row (body) VALUES ('x')")?;
    Ok(since.elapsed())
}

/// Opens such a database and adds a row.
pub(crate) fn reopen(file: &Path) -> anyhow::Result<Duration> {
    let since = Instant::now();
    let conn = connect(file)?;
    conn.execute_batch("PRAGMA synchronous = NORMAL; INSERT INTO row (body) VALUES ('x')")?;
    Ok(since.elapsed())
}

/// Reads every row of every table of a database.
pub(crate) fn read_all(file: &Path) -> anyhow::Result<Duration> {
    let since = Instant::now();
    let conn = Connection::open_with_flags(file, OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_NO_MUTEX)?;
    let mut names = conn.prepare("SELECT name FROM sqlite_schema WHERE type = 'table'")?;
    let tables = names.query_map([], |row| row.get::<_, String>(0))?.collect::<Result<Vec<_>, _>>()?;
    for table in tables {
        let mut statement = conn.prepare(&format!("SELECT * FROM \"{table}\""))?;
        let columns = statement.column_count();
        let mut rows = statement.query([])?;
        while let Some(row) = rows.next()? {
            for column in 0..columns {
                black_box(row.get_ref(column)?);
            }
        }
    }
    Ok(since.elapsed())
}

fn connect(file: &Path) -> anyhow::Result<Connection> {
    let conn = Connection::open(file)?;
    // Moving the log into the database is no part of a commit, here and there.
    conn.pragma_update(None, "wal_autocheckpoint", 0)?;
    Ok(conn)
}
