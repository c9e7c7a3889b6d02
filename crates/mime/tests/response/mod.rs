//! Reads what FETCH sends back into values, strictly by RFC 9051 section 9.

/// One value of a FETCH response.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Value {
    /// `NIL`
    Nil,
    /// A number.
    Number(u64),
    /// A quoted string or literal.
    Text(Vec<u8>),
    /// A parenthesised list.
    List(Vec<Value>),
}

impl Value {
    /// Reads all of `bytes` as one value; panics with the place where the grammar breaks.
    pub fn read(bytes: &[u8]) -> Value {
        let mut at = 0;
        let value = value(bytes, &mut at);
        assert_eq!(at, bytes.len(), "more after the value: {}", show(bytes));
        value
    }

    /// The items of a list.
    pub fn list(&self) -> &[Value] {
        match self {
            Value::List(items) => items,
            other => panic!("no list: {other:?}"),
        }
    }

    /// A number.
    pub fn number(&self) -> u64 {
        match self {
            Value::Number(n) => *n,
            other => panic!("no number: {other:?}"),
        }
    }

    /// A string.
    pub fn text(&self) -> &[u8] {
        match self {
            Value::Text(text) => text,
            other => panic!("no string: {other:?}"),
        }
    }

    fn is_nstring(&self) -> bool {
        matches!(self, Value::Nil | Value::Text(_))
    }
}

fn show(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

fn value(b: &[u8], at: &mut usize) -> Value {
    match b.get(*at) {
        Some(b'(') => {
            *at += 1;
            let mut items = Vec::new();
            while b.get(*at) != Some(&b')') {
                // Lists of lists (addresses, bodies) have no space between them.
                if b.get(*at) == Some(&b' ') {
                    assert!(!items.is_empty(), "space after ( in {}", show(b));
                    *at += 1;
                } else {
                    let lists = matches!(items.last(), None | Some(Value::List(_)));
                    let opens = b.get(*at) == Some(&b'(');
                    assert!(
                        items.is_empty() || (lists && opens),
                        "no space in {}",
                        show(b)
                    );
                }
                items.push(value(b, at));
            }
            *at += 1;
            assert!(!items.is_empty(), "empty list in {}", show(b));
            Value::List(items)
        }
        Some(b'"') => {
            let mut text = Vec::new();
            *at += 1;
            loop {
                let c = b[*at];
                *at += 1;
                match c {
                    b'"' => return Value::Text(text),
                    b'\\' => {
                        let c = b[*at];
                        assert!(matches!(c, b'"' | b'\\'), "escape of {c}");
                        text.push(c);
                        *at += 1;
                    }
                    _ => {
                        assert!(c != 0 && c < 0x80 && c != b'\r' && c != b'\n', "quoted {c}");
                        text.push(c);
                    }
                }
            }
        }
        Some(b'{') => {
            *at += 1;
            let len = usize::try_from(digits(b, at)).expect("fits");
            assert_eq!(&b[*at..*at + 3], b"}\r\n");
            *at += 3;
            let text = b[*at..*at + len].to_vec();
            assert!(!text.contains(&0), "NUL in a literal");
            *at += len;
            Value::Text(text)
        }
        Some(b'0'..=b'9') => Value::Number(digits(b, at)),
        Some(b'N') => {
            assert_eq!(&b[*at..*at + 3], b"NIL");
            *at += 3;
            Value::Nil
        }
        other => panic!("{other:?} at {at} of {}", show(b)),
    }
}

fn digits(b: &[u8], at: &mut usize) -> u64 {
    let mut n = 0;
    while let Some(d @ b'0'..=b'9') = b.get(*at) {
        n = n * 10 + u64::from(d - b'0');
        *at += 1;
    }
    n
}

/// `envelope`
pub fn check_envelope(v: &Value) {
    let items = v.list();
    assert_eq!(items.len(), 10, "{v:?}");
    for i in [0, 1, 8, 9] {
        assert!(items[i].is_nstring(), "{v:?}");
    }
    for list in &items[2..8] {
        if *list == Value::Nil {
            continue;
        }
        for address in list.list() {
            let address = address.list();
            assert_eq!(address.len(), 4);
            assert!(address.iter().all(Value::is_nstring));
        }
    }
}

/// `body`, with the extension data or without.
pub fn check_body(v: &Value, extended: bool) {
    let items = v.list();
    let rest = if let Value::List(_) = items[0] {
        let bodies = items.iter().take_while(|i| matches!(i, Value::List(_)));
        let n = bodies.inspect(|b| check_body(b, extended)).count();
        items[n].text();
        let rest = &items[n + 1..];
        if extended {
            check_params(&rest[0]);
            &rest[1..]
        } else {
            rest
        }
    } else {
        let media = items[0].text().to_ascii_uppercase();
        let subtype = items[1].text().to_ascii_uppercase();
        assert_ne!(media, b"MULTIPART");
        check_params(&items[2]);
        assert!(items[3].is_nstring() && items[4].is_nstring());
        items[5].text();
        items[6].number();
        let mut rest = &items[7..];
        if media == b"TEXT" {
            rest[0].number();
            rest = &rest[1..];
        } else if media == b"MESSAGE" && (subtype == b"RFC822" || subtype == b"GLOBAL") {
            check_envelope(&rest[0]);
            check_body(&rest[1], extended);
            rest[2].number();
            rest = &rest[3..];
        }
        if extended {
            assert!(rest[0].is_nstring());
            &rest[1..]
        } else {
            rest
        }
    };
    if !extended {
        assert!(rest.is_empty(), "{v:?}");
        return;
    }
    assert_eq!(rest.len(), 3, "{v:?}");
    if rest[0] != Value::Nil {
        let disposition = rest[0].list();
        assert_eq!(disposition.len(), 2);
        disposition[0].text();
        check_params(&disposition[1]);
    }
    if let Value::List(tags) = &rest[1] {
        assert!(tags.iter().all(|t| matches!(t, Value::Text(_))));
    } else {
        assert!(rest[1].is_nstring());
    }
    assert!(rest[2].is_nstring());
}

fn check_params(v: &Value) {
    if *v != Value::Nil {
        let items = v.list();
        assert_eq!(items.len() % 2, 0, "{v:?}");
        assert!(items.iter().all(|i| matches!(i, Value::Text(_))));
    }
}
