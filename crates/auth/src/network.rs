//! Addresses and networks as people write them and as they are compared.

use std::net::{IpAddr, Ipv6Addr};

use ipnet::IpNet;
use serde::{Deserialize, Deserializer};

/// Whoever has one address of an IPv6 network of this length has all of them.
const SUBSCRIBER: u8 = 64;

/// Why a text is no network.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0:?} is neither an address nor a network such as 192.0.2.0/24")]
pub struct NetworkError(String);

/// A network (`192.0.2.0/24`), or an address, which is one of a single address; without the bits
/// beyond its length. IPv4 addresses that are written as IPv6 ones are IPv4 addresses.
///
/// # Errors
/// [`NetworkError`].
pub fn parse_network(text: &str) -> Result<IpNet, NetworkError> {
    let network = match text.parse::<IpAddr>() {
        Ok(address) => IpNet::from(address.to_canonical()),
        Err(_) => text
            .parse::<IpNet>()
            .map_err(|_| NetworkError(text.to_owned()))?,
    };
    Ok(network.trunc())
}

/// What counts as one client: an IPv4 address, or a /64 of IPv6.
#[must_use]
pub fn client_network(address: IpAddr) -> IpNet {
    match address.to_canonical() {
        IpAddr::V4(address) => IpNet::from(IpAddr::V4(address)),
        IpAddr::V6(address) => {
            let network = address.to_bits() >> (128 - SUBSCRIBER) << (128 - SUBSCRIBER);
            let network = IpAddr::V6(Ipv6Addr::from_bits(network));
            IpNet::new(network, SUBSCRIBER).unwrap_or_else(|_| IpNet::from(network))
        }
    }
}

pub(crate) fn networks<'de, D: Deserializer<'de>>(from: D) -> Result<Vec<IpNet>, D::Error> {
    let texts = Vec::<String>::deserialize(from)?;
    let networks = texts.iter().map(|text| parse_network(text));
    networks
        .collect::<Result<_, _>>()
        .map_err(serde::de::Error::custom)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn as_people_write_them() {
        for (text, network) in [
            ("192.0.2.1", "192.0.2.1/32"),
            ("192.0.2.1/24", "192.0.2.0/24"),
            ("::ffff:192.0.2.1", "192.0.2.1/32"),
            ("2001:db8::1", "2001:db8::1/128"),
            ("2001:db8::1/48", "2001:db8::/48"),
        ] {
            assert_eq!(parse_network(text).unwrap().to_string(), network);
        }
        for bad in ["", "192.0.2", "192.0.2.1/33", "2001:db8::/129", "localhost"] {
            assert!(parse_network(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn as_they_are_counted() {
        for (address, network) in [
            ("192.0.2.1", "192.0.2.1/32"),
            ("::ffff:192.0.2.1", "192.0.2.1/32"),
            ("2001:db8:1:2:3:4:5:6", "2001:db8:1:2::/64"),
        ] {
            let counted = client_network(address.parse().unwrap());
            assert_eq!(counted.to_string(), network);
        }
    }
}
