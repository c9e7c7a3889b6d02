//! What a client sends through a frontend: the backend's reader finds the same commands in what is
//! relayed as the frontend's cutter has found in what the client has sent, octet for octet, however
//! both come.
#![no_main]

use libfuzzer_sys::fuzz_target;
use murder_frontend::fuzzing::check_relayed;

fuzz_target!(|data: &[u8]| {
    let Some((first, client)) = data.split_first() else {
        return;
    };
    check_relayed(client, usize::from(*first) + 1);
});
