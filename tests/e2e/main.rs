//! End-to-end tests: the real binary over pipes, one file for each journey.
#![expect(unreachable_pub, reason = "a test binary exports nothing, and its support is shared by all journeys")]

mod buffers;
mod cancel;
mod crash;
mod deterministic;
mod drain;
mod ends;
mod export;
mod faults;
mod framing;
mod keys;
mod limits;
mod limits_of_a_turn;
mod main_job;
mod matrix;
mod modes;
mod pipes;
mod project;
mod retries;
mod roundabout;
mod scale;
mod secrets;
mod shell;
mod shell_tool;
mod sessions;
mod startup;
mod stops;
mod store_faults;
mod support;
mod telemetry;
mod titles;
mod tool_runs;
mod tools;
mod trust;
mod vendors;
mod watchdogs;
