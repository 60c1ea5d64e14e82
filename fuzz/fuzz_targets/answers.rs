#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| vestibule::testing::fuzzing::answers(data));
