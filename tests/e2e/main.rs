//! End-to-end tests: the real binary over pipes, one file for each journey.

mod cancel;
mod crash;
mod deterministic;
mod export;
mod faults;
mod main_job;
mod secrets;
mod sessions;
mod store_faults;
mod support;
mod telemetry;
mod titles;
