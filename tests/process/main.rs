//! Commands under the keeper of the real binary: how they end and what they leave behind, and what a confined one can do.
#![cfg(target_os = "linux")]

mod confinement;
mod keeping;
mod lost;
mod support;
