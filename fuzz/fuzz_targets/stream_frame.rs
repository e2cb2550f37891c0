//! Any bytes as a request to the stream: read or refused, without a panic or an allocation that a length in it asks for.

#![no_main]

use libfuzzer_sys::fuzz_target;

fuzz_target!(|data: &[u8]| {
    let _ = pitt_stream::check_frame(data);
});
