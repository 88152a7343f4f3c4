//! The record of a connection: who was at the other end, from when until when, how it ended, what was said last.

use super::abort::{Client, Transport};
use super::ids::{ConnectionId, RequestId};
use super::record::record;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

record! {
    /// One connection. Its beginning is on record before anything that names it, the rest when it has ended: without
    /// `closed_at` it is open, or the process that served it died.
    pub struct ConnectionRecord {
        required {
            connection_id: ConnectionId => Id,
            transport: Transport => Enum,
            /// Wall clock, milliseconds since 1970.
            opened_at: u64 => Time,
        }
        optional {
            /// Absent if it did not say.
            client: Client => Record,
            /// Absent if it cannot be known.
            process: ClientProcess => Record,
            closed_at: u64 => Time,
            closed_by: ConnectionEnd => Enum,
            signal_name: String => Structure,
            /// The last message that was read from the client.
            last_read: LastMessage => Record,
            /// The last message that was written to the client, to its last byte.
            last_written: LastMessage => Record,
        }
    }
}

record! {
    /// The client's process.
    pub struct ClientProcess {
        required {
            pid: u32 => Number,
            known_from: KnownFrom => Enum,
        }
    }
}

/// Who said which process the client is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum KnownFrom {
    /// The client itself, as `processId`.
    Initialize,
    /// The system, of the socket that is stdin.
    SocketPeer,
    /// It started pillion.
    Parent,
}

/// What ended a connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum ConnectionEnd {
    /// The client closed its end of stdin.
    Eof,
    /// `exit`, after `shutdown`.
    Exit,
    ExitWithoutShutdown,
    FramingBroken,
    WriteFailed,
    ProcessDied,
    Signal,
    Panic,
}

record! {
    /// A message of a connection.
    pub struct LastMessage {
        required {
            /// `response` for an answer; `unknown` for a method that pillion does not serve.
            method: String => Structure,
            /// Wall clock, milliseconds since 1970.
            at: u64 => Time,
        }
        optional {
            /// Of an answer, the id of its request. A notification has none.
            id: RequestId => Id,
        }
    }
}
