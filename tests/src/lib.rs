//! End-to-end suites that need more than one binary.
#![forbid(unsafe_code)]
