//! Kernel mechanisms, one a file.

pub mod seccomp;
pub mod view;
