//! What must hold on every connection, in both framings.

mod cancels;
mod handshake;
mod questions;
mod requests;
