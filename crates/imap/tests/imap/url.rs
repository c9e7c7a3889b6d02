//! IMAP URLs (RFC 5092).

use murder_imap::url::{MessageUrl, UrlError, UrlMailbox};
use murder_imap::{PartWhat, Partial, Section};

fn parse(url: &str) -> Result<MessageUrl, UrlError> {
    MessageUrl::parse(url.as_bytes())
}

fn of(mailbox: &str, uidvalidity: Option<u32>, uid: u32) -> MessageUrl {
    MessageUrl {
        mailbox: Some(UrlMailbox {
            name: mailbox.into(),
            uidvalidity,
        }),
        uid,
        section: Section::Full,
        partial: None,
    }
}

fn part(path: &[u32], what: PartWhat) -> Section {
    Section::Part {
        path: path.to_vec(),
        what,
    }
}

/// The examples of RFC 4469, RFC 5092 and RFC 8508, without scheme and server where they have one.
#[test]
fn examples() {
    let drafts = of("Drafts", Some(385_759_045), 20);
    for (url, wanted) in [
        (
            "/Drafts;UIDVALIDITY=385759045/;UID=20/;section=HEADER",
            MessageUrl {
                section: Section::Header,
                ..drafts.clone()
            },
        ),
        (
            "/Drafts;UIDVALIDITY=385759045/;UID=20/;section=1.MIME",
            MessageUrl {
                section: part(&[1], PartWhat::Mime),
                ..drafts.clone()
            },
        ),
        (
            "/Drafts;UIDVALIDITY=385759045/;UID=20/;Section=2",
            MessageUrl {
                section: part(&[2], PartWhat::Body),
                ..drafts.clone()
            },
        ),
        ("/Drafts;UIDVALIDITY=385759045/;UID=20", drafts),
        (
            "/INBOX;UIDVALIDITY=785799047/;UID=113330/;section=1.5.9",
            MessageUrl {
                section: part(&[1, 5, 9], PartWhat::Body),
                ..of("INBOX", Some(785_799_047), 113_330)
            },
        ),
        ("/Drafts/;UID=3002", of("Drafts", None, 3002)),
        (
            "/gray-council;UIDVALIDITY=385759045/;UID=20/;PARTIAL=0.1024",
            MessageUrl {
                partial: Some(Partial {
                    origin: 0,
                    length: 1024,
                }),
                ..of("gray-council", Some(385_759_045), 20)
            },
        ),
        (
            "/gray-council/;uid=20/;section=1.2",
            MessageUrl {
                section: part(&[1, 2], PartWhat::Body),
                ..of("gray-council", None, 20)
            },
        ),
        (
            "/~peter/%E6%97%A5%E6%9C%AC%E8%AA%9E/%E5%8F%B0%E5%8C%97/;UID=1",
            of("~peter/日本語/台北", None, 1),
        ),
        (
            ";UID=20",
            MessageUrl {
                mailbox: None,
                ..of("x", None, 20)
            },
        ),
    ] {
        assert_eq!(parse(url), Ok(wanted), "{url}");
    }
}

#[test]
fn what_else_there_is() {
    let fields = Section::HeaderFields {
        names: vec!["Subject".into(), "To".into()],
        not: true,
    };
    let whole = MessageUrl {
        mailbox: None,
        section: fields,
        partial: Some(Partial {
            origin: 9,
            length: u64::MAX,
        }),
        ..of("x", None, 4_294_967_295)
    };
    let url = ";uid=4294967295/;sEcTiOn=header.fields.not%20(Subject%20To)/;pArTiAl=9";
    assert_eq!(parse(url), Ok(whole.clone()));
    assert_eq!(
        whole.to_string(),
        ";UID=4294967295/;SECTION=HEADER.FIELDS.NOT%20(Subject%20To)/;PARTIAL=9"
    );
    for (url, name) in [
        // Modified UTF-7 is none in a URL.
        ("/a&AOQ-/;UID=1", "a&AOQ-"),
        ("/a%20b%3b%3Fc%25/;UID=1", "a b;?c%"),
        ("/a/b//;UID=1", "a/b/"),
        ("/%2Fa/;UID=1", "/a"),
        ("/%00/;UID=1", "\0"),
        // Dot-segments are followed (RFC 5092 section 9.1).
        ("/a/./b/../c/;UID=1", "a/c"),
        ("/../a/;UID=1", "a"),
        ("/foo/;UID=20/../;UID=1", "foo"),
        ("/a/%2E%2E/;UID=1", "a/.."),
    ] {
        assert_eq!(parse(url), Ok(of(name, None, 1)), "{url}");
    }
    let dots = parse("/..;UIDVALIDITY=385759045/;UID=20");
    assert_eq!(dots, Ok(of("..", Some(385_759_045), 20)));
}

#[test]
fn what_is_no_message_of_this_server() {
    for url in [
        "imap://bob@example.org/INBOX/;UID=1",
        "IMAP:/INBOX/;UID=1",
        "http://example.org/;UID=1",
        "//example.org/INBOX/;UID=1",
        "x:;UID=1",
    ] {
        assert_eq!(parse(url), Err(UrlError::Absolute), "{url}");
    }
    for url in [
        "",
        "/",
        "/INBOX",
        "/INBOX/",
        "/INBOX;UIDVALIDITY=1",
        "/INBOX;UID=1",
        "/INBOX;UIDVALIDITY=1;UID=1",
        "/INBOX;UIDVALIDITY=0/;UID=1",
        "/INBOX;UIDVALIDITY=4294967296/;UID=1",
        "/INBOX/;UIDVALIDITY=/;UID=1",
        "/INBOX?SUBJECT%20shadows",
        "/INBOX/;UID=1?SUBJECT%20shadows",
        "/;UID=1",
        "/;UIDVALIDITY=1/;UID=1",
        "/INBOX/;UID=",
        "/INBOX/;UID=0",
        "/INBOX/;UID=1:2",
        "/INBOX/;UID=*",
        "/INBOX/;UID=-1",
        "/INBOX/;UID=4294967296",
        "/INBOX/;UID=1/",
        "/INBOX/;UID=1;section=1",
        "/INBOX/;UID=1/;section=",
        "/INBOX/;UID=1/;section=1/",
        "/INBOX/;UID=1/;section=MIME",
        "/INBOX/;UID=1/;section=0",
        "/INBOX/;UID=1/;section=1.2x",
        "/INBOX/;UID=1/;section=1%5D",
        "/INBOX/;UID=1/;section=HEADER.FIELDS",
        "/INBOX/;UID=1/;section=HEADER.FIELDS (To)",
        "/INBOX/;UID=1/;section=1;partial=0.1",
        "/INBOX/;UID=1/;partial=",
        "/INBOX/;UID=1/;partial=0.0",
        "/INBOX/;UID=1/;partial=0.",
        "/INBOX/;UID=1/;partial=-1.1",
        "/INBOX/;UID=1/;partial=9223372036854775808",
        "/INBOX/;UID=1/;partial=0.1/;section=1",
        "/INBOX/;UID=1/;EXPIRE=2007-01-01T00:00:00Z",
        "/INBOX/;uid=20;urlauth=submit+fred:internal:91354a473744909de610943775f92038",
        "/foo/;UID=20/..",
        "/a b/;UID=1",
        "/[x]/;UID=1",
        "/a%/;UID=1",
        "/a%4/;UID=1",
        "/a%4g/;UID=1",
        "/a%+4/;UID=1",
        "/%FF/;UID=1",
        "/ä/;UID=1",
        "/a#b/;UID=1",
        ";SECTION=1",
        ";UIDVALIDITY=1/;UID=1",
        "INBOX/;UID=1",
        "../INBOX/;UID=1",
        ";UID=20/../;UID=1",
        " /INBOX/;UID=1",
    ] {
        let error = parse(url).unwrap_err();
        assert!(matches!(error, UrlError::Syntax(_)), "{url}: {error:?}");
    }
}

/// Parts nest no deeper than a FETCH may ask for.
#[test]
fn deep_parts() {
    let deep = |levels: usize| format!(";UID=1/;SECTION={}", vec!["1"; levels].join("."));
    assert!(parse(&deep(100)).is_ok());
    assert!(parse(&deep(101)).is_err());
    assert!(parse(&"/..".repeat(3_000)).is_err());
}
