//! End-to-end tests: the real binary over pipes, one file for each journey.

mod cancel;
mod crash;
mod main_job;
mod support;
