# The checks of this project; continuous integration runs `just ci`.

# List the recipes.
default:
    @just --list

# Everything that must hold before a commit.
ci: fmt clippy deny docs test clients provisioning

# Formatting, checked.
fmt:
    cargo fmt --all --check
    cargo fmt --manifest-path fuzz/Cargo.toml --check

# Lints, as errors.
clippy:
    cargo clippy --workspace --all-targets --locked -- -D warnings
    cargo clippy --manifest-path fuzz/Cargo.toml --target-dir target/fuzz --no-default-features --locked -- -D warnings

# Licences, banned crates and sources of every dependency.
deny:
    cargo deny --locked check licenses bans sources

# Known vulnerabilities (needs a network that reaches the RustSec database).
advisories:
    cargo deny check advisories

# The API documentation builds without a warning.
docs:
    RUSTDOCFLAGS="-D warnings" cargo doc --workspace --no-deps --locked

# Unit and end-to-end tests.
test:
    cargo test --workspace --locked

# The damage matrix of the store over many seeds: `just damage 0..5000`.
damage seeds="0..500":
    MURDER_SEED={{seeds}} cargo test -p murder-store --locked --test store damage::

# Real clients (.ci/run says which) against a murder, and a backend alone, as the tests build them.
clients:
    cargo test --workspace --locked --no-run
    tests/clients/check.py target/debug/murder

# The Ansible role makes a murder on this machine, in namespaces of its own: needs root and ansible-core.
provisioning:
    cargo build --workspace --bins --locked
    tests/deploy/ansible.sh target/debug

# Fuzz a parser: command, relay, response, structure or header (needs `cargo install cargo-fuzz` and a
# C++ compiler).
fuzz TARGET SECONDS="600":
    mkdir -p fuzz/corpus/{{TARGET}}
    cd fuzz && cargo fuzz run -s none {{TARGET}} corpus/{{TARGET}} seeds/{{TARGET}} -- \
        -max_total_time={{SECONDS}} -max_len=4096 -timeout=20 \
        -dict=seeds/{{ if TARGET =~ "command|relay|response" { "imap" } else { "mime" } }}.dict

# The figures of docs/performance.md.
bench *ARGS:
    cargo build --release --locked -p murder
    cargo run --release --locked -p murder-bench -- {{ARGS}}

# Ours beside other servers on this machine: --peer NAME=IMAP,LMTP,PASSWORD,... for each.
bench-peers *ARGS:
    cargo build --release --locked -p murder
    cargo run --release --locked -p murder-bench -- side-by-side {{ARGS}}
