//! JSON-RPC: the only room that knows it. Bytes come in through `frame` and `envelope`.

pub mod envelope;
pub mod frame;
