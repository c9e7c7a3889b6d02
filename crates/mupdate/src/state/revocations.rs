//! Certificates that are not to be believed any more.

use murder_net::ca::is_node_name;
use murder_net::tls::Revocation;
use murder_proto::v1::{self, ErrorKind};

use super::{Changing, Refusal, refuse};
use murder_location::record::Change;

/// The most names that something is revoked of: each node holds them all, and looks a certificate up
/// with each handshake.
const MAX_NAMES: usize = 10_000;
/// The most certificates revoked by number, of one name.
const MAX_SERIALS: usize = 100;
/// The most octets of a serial number (RFC 5280 section 4.1.2.2).
const MAX_SERIAL: usize = 20;

impl Changing<'_> {
    pub(super) fn revoked(&mut self, entry: &v1::Revoked) -> Result<(), Refusal> {
        let name = &entry.name;
        if !is_node_name(name) {
            let message = format!("{name:?} is no name of a node");
            return refuse(ErrorKind::InvalidArgument, message);
        }
        let known = self.state.tables.revocations.get(name).cloned();
        if entry.taken_back {
            if known.is_none() {
                return refuse(ErrorKind::NotFound, format!("nothing of {name} is revoked"));
            }
            self.change(Change::Revocation(name.clone(), None));
            return Ok(());
        }
        if known.is_none() && self.state.tables.revocations.len() >= MAX_NAMES {
            let message = format!("certificates of {MAX_NAMES} names are revoked already");
            return refuse(ErrorKind::TooLarge, message);
        }
        let mut revocation = known.unwrap_or_else(|| Revocation {
            name: name.clone(),
            ..Revocation::default()
        });
        for serial in &entry.serials {
            if !(1..=MAX_SERIAL).contains(&serial.len()) || serial[0] == 0 {
                let message = format!("a serial number has 1 to {MAX_SERIAL} octets, no leading 0");
                return refuse(ErrorKind::InvalidArgument, message);
            }
            if !revocation.serials.contains(serial) {
                revocation.serials.push(serial.clone());
            }
        }
        if revocation.serials.len() > MAX_SERIALS {
            let message = format!("more than {MAX_SERIALS} certificates of {name}");
            return refuse(ErrorKind::TooLarge, message);
        }
        if entry.serials.is_empty() {
            revocation.issued_until = revocation.issued_until.max(self.time_ms / 1000);
        }
        self.change(Change::Revocation(name.clone(), Some(revocation)));
        Ok(())
    }
}
