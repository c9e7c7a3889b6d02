//! What a client has enabled (RFC 5161): until the end of the connection, or UNAUTHENTICATE.

/// An extension that changes what the server sends, and so has to be asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Extension {
    /// `CONDSTORE` (RFC 7162): mod-sequences with every change of flags.
    CondStore,
    /// `QRESYNC` (RFC 7162): VANISHED instead of EXPUNGE. Implies CONDSTORE.
    QResync,
    /// `IMAP4rev2` (RFC 9051), instead of IMAP4rev1.
    Rev2,
    /// `UTF8=ACCEPT` (RFC 6855)
    Utf8,
    /// `UIDONLY` (RFC 9586): no message numbers.
    UidOnly,
}

impl Extension {
    /// All, in the order in which ENABLED names them.
    pub const ALL: [Self; 5] = [
        Self::CondStore,
        Self::QResync,
        Self::Rev2,
        Self::Utf8,
        Self::UidOnly,
    ];

    /// The name of the capability.
    pub const fn name(self) -> &'static str {
        match self {
            Self::CondStore => "CONDSTORE",
            Self::QResync => "QRESYNC",
            Self::Rev2 => "IMAP4rev2",
            Self::Utf8 => "UTF8=ACCEPT",
            Self::UidOnly => "UIDONLY",
        }
    }

    const fn bit(self) -> u8 {
        1 << self as u8
    }
}

/// The extensions that are enabled.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct Enabled(u8);

impl Enabled {
    /// Whether `extension` is.
    pub const fn has(self, extension: Extension) -> bool {
        self.0 & extension.bit() != 0
    }

    /// Enables `extension`, and what it implies.
    pub const fn add(&mut self, extension: Extension) {
        self.0 |= extension.bit();
        if matches!(extension, Extension::QResync) {
            self.0 |= Extension::CondStore.bit();
        }
    }

    /// Whether messages that went are told as VANISHED, by UID.
    pub const fn vanished(self) -> bool {
        self.has(Extension::QResync) || self.has(Extension::UidOnly)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn extensions_are_apart() {
        let mut enabled = Enabled::default();
        for extension in Extension::ALL {
            assert!(!enabled.has(extension) || extension == Extension::CondStore);
            enabled.add(extension);
            assert!(enabled.has(extension));
        }
        let mut enabled = Enabled::default();
        enabled.add(Extension::QResync);
        assert!(enabled.has(Extension::CondStore) && enabled.vanished());
        assert!(!enabled.has(Extension::Rev2) && !enabled.has(Extension::UidOnly));
    }
}
