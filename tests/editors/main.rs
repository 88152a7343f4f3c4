//! Real editors and other people's clients drive the real binary. Each test is a story: a program in the client's own
//! language, run by [`support::Story`].

mod clients;
mod examples;
mod nvim;
mod support;
mod vscode;
