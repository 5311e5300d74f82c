#![no_main]

// the ordinary tests use the rest
#[allow(dead_code)]
#[path = "../../supervisor/events/tests/common/mod.rs"]
mod properties;

/// Each record with its size, two bytes, before it; the last one may be shorter than that.
fn split(mut bytes: &[u8]) -> Vec<&[u8]> {
    let mut all = Vec::new();
    while let Some((size, rest)) = bytes.split_first_chunk::<2>() {
        let size = usize::from(u16::from_ne_bytes(*size)).min(rest.len());
        let (record, rest) = rest.split_at(size);
        all.push(record);
        bytes = rest;
    }
    all
}

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| properties::records(&split(bytes)));
