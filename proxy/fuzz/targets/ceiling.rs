#![no_main]
#![allow(dead_code, reason = "each target checks one of the properties")]

#[path = "../../tests/parsers/properties/mod.rs"]
mod properties;

libfuzzer_sys::fuzz_target!(|data: &[u8]| properties::ceiling::check(data));
