//! JSON-RPC: the only room that knows it. Bytes come in through `frame` and `envelope`, and leave through `outbox`.

pub mod envelope;
pub mod frame;
pub mod outbox;
pub mod stdio;
pub mod watch;
pub mod wire;
