//! Compiles `proto/murder/v1/*.proto` without a `protoc`.

use std::error::Error;
use std::path::Path;

use prost::Message;

fn main() -> Result<(), Box<dyn Error>> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../proto");
    let files = [
        "admin.proto",
        "block.proto",
        "directory.proto",
        "mupdate.proto",
        "log.proto",
    ]
    .map(|file| root.join("murder/v1").join(file));
    for file in &files {
        println!("cargo::rerun-if-changed={}", file.display());
    }
    let descriptors = protox::compile(&files, [&root])?;
    let out = Path::new(&std::env::var("OUT_DIR")?).join("descriptors.bin");
    std::fs::write(out, descriptors.encode_to_vec())?;
    // What shows a password hash must not be printable by accident.
    tonic_prost_build::configure()
        .skip_debug(["murder.v1.Account", "murder.v1.SetPasswordRequest"])
        // Refusals are seldom and travel in every `Result`.
        .boxed("murder.v1.ErrorDetail.holder")
        // What is replicated is the same bytes everywhere.
        .btree_map(".")
        .emit_rerun_if_changed(false)
        .compile_fds(descriptors)?;
    Ok(())
}
