#![no_main]

// each target runs one of them
#[allow(dead_code)]
#[path = "../../policy/tests/common/properties.rs"]
mod properties;

libfuzzer_sys::fuzz_target!(|text: &str| properties::parse(text));
