//! The backend's reader finds the commands that the frontend's cutter has found: `fuzz/` has the same
//! for ten minutes.

use proptest::prelude::*;

use crate::fuzzing::check_relayed;

#[test]
fn nothing_is_smuggled() {
    for announced in [
        "{+16}",
        "{016+}",
        "{00000000000000000016+}",
        "{16}",
        "{16+}",
        "{ 16+}",
        "{16 +}",
        "{16++}",
        "{-16+}",
        "{0x10+}",
        "~{16+}",
        "{16+}\r",
        "{99999999999999999999+}",
    ] {
        let client = format!("a SEARCH TEXT {announced}\r\nb EXPUNGE\r\nxyz\r\nc NOOP\r\n");
        for step in 1..=client.len() {
            let commands = check_relayed(client.as_bytes(), step);
            // Either it is a literal for both, or for neither.
            let as_literal = commands
                .iter()
                .all(|command| !command.ends_with(b" EXPUNGE\r\n"));
            assert_eq!(commands.len() < 3, as_literal, "{announced}");
        }
    }
}

/// What commands are made of, and what looks like it.
fn token() -> impl Strategy<Value = Vec<u8>> {
    let words = prop::sample::select(vec![
        "a ",
        "b ",
        "NOOP",
        "SEARCH ",
        "FETCH ",
        "UID ",
        "EXPUNGE",
        "STORE ",
        "APPEND ",
        "IDLE",
        "SUBJECT ",
        "TEXT ",
        "1:* ",
        "FLAGS",
        "(",
        ")",
        "\"",
        "\\",
        " ",
        "\r",
        "\n",
        "\r\n",
        "{",
        "}",
        "+",
        "{0+}\r\n",
        "{1}\r\n",
        "{3+}\r\n",
        "{16+}\r\n",
        "{+3}\r\n",
        "{003+}\r\n",
        "~{3+}\r\n",
        "{3+}\n",
        "{99999999999999999999}\r\n",
        "a NOOP\r\n",
        "b EXPUNGE\r\n",
        "\0",
        "\u{e9}",
    ]);
    prop_oneof![
        8 => words.prop_map(|word| word.as_bytes().to_vec()),
        1 => prop::collection::vec(any::<u8>(), 1..4),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 2000, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn both_ends_find_the_same_commands(
        tokens in prop::collection::vec(token(), 1..40),
        step in 1usize..40,
    ) {
        check_relayed(&tokens.concat(), step);
    }
}
