//! Messages as they go from node to node: for each a head, then its octets. Blocks end anywhere.

use bytes::{Buf, BufMut, Bytes, BytesMut};
use murder_store::{Flags, InternalDate};

/// The most octets of a head: a message has at most some thousand keywords.
const MAX_HEAD: usize = 1 << 20;

/// What is said of a message before its octets.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Head {
    /// The UID that it has in the source.
    pub uid: u32,
    /// How many octets follow.
    pub octets: u32,
    /// Flags, as the user has them.
    pub flags: Flags,
    /// Keywords by name.
    pub keywords: Vec<String>,
    /// INTERNALDATE.
    pub internal_date: InternalDate,
    /// EMAILID.
    pub email_id: [u8; 16],
}

impl Head {
    /// Writes it.
    pub(crate) fn encode(&self, out: &mut BytesMut) {
        let start = out.len();
        out.put_u32(0);
        out.put_u32(self.uid);
        out.put_u32(self.octets);
        out.put_u8(self.flags.bits());
        out.put_i64(self.internal_date.seconds);
        out.put_i16(self.internal_date.zone);
        out.put_slice(&self.email_id);
        out.put_u32(self.keywords.len() as u32);
        for keyword in &self.keywords {
            out.put_u32(keyword.len() as u32);
            out.put_slice(keyword.as_bytes());
        }
        let len = (out.len() - start - 4) as u32;
        out[start..start + 4].copy_from_slice(&len.to_be_bytes());
    }

    /// Reads it; what a later version has added behind is passed over.
    fn decode(mut from: Bytes) -> Option<Self> {
        let uid = from.try_get_u32().ok()?;
        let octets = from.try_get_u32().ok()?;
        let flags = Flags::from_bits(from.try_get_u8().ok()?);
        let internal_date = InternalDate {
            seconds: from.try_get_i64().ok()?,
            zone: from.try_get_i16().ok()?,
        };
        let mut email_id = [0; 16];
        from.try_copy_to_slice(&mut email_id).ok()?;
        let mut keywords = Vec::new();
        for _ in 0..from.try_get_u32().ok()? {
            let len = from.try_get_u32().ok()? as usize;
            if from.len() < len {
                return None;
            }
            keywords.push(String::from_utf8(from.split_to(len).into()).ok()?);
        }
        Some(Self {
            uid,
            octets,
            flags,
            keywords,
            internal_date,
            email_id,
        })
    }
}

/// What a block holds next.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Piece {
    /// A message begins.
    Head(Head),
    /// Octets of it. An empty message has none.
    Octets(Bytes),
}

/// The blocks are not what another node makes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("not messages on their way from node to node")]
pub(crate) struct NotMessages;

/// Reads blocks.
#[derive(Debug, Default)]
pub(crate) struct Decoder {
    /// What has come and was not given out.
    rest: BytesMut,
    /// Octets of the message that are still to come.
    left: u32,
}

impl Decoder {
    /// A block has come.
    pub(crate) fn push(&mut self, block: Vec<u8>) {
        match self.rest.is_empty() {
            true => self.rest = BytesMut::from(Bytes::from(block)),
            false => self.rest.extend_from_slice(&block),
        }
    }

    /// What comes next; `None` when more blocks are needed.
    pub(crate) fn next(&mut self) -> Result<Option<Piece>, NotMessages> {
        if self.rest.is_empty() {
            return Ok(None);
        }
        if self.left > 0 {
            let len = self.rest.len().min(self.left as usize);
            self.left -= len as u32;
            return Ok(Some(Piece::Octets(self.rest.split_to(len).freeze())));
        }
        let Some(len) = self.rest.first_chunk::<4>() else {
            return Ok(None);
        };
        let len = u32::from_be_bytes(*len) as usize;
        if len > MAX_HEAD {
            return Err(NotMessages);
        }
        if self.rest.len() < 4 + len {
            return Ok(None);
        }
        self.rest.advance(4);
        let head = Head::decode(self.rest.split_to(len).freeze()).ok_or(NotMessages)?;
        self.left = head.octets;
        Ok(Some(Piece::Head(head)))
    }

    /// Whether all that has begun has come to its end.
    pub(crate) fn is_between_messages(&self) -> bool {
        self.rest.is_empty() && self.left == 0
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    fn heads() -> Vec<(Head, Vec<u8>)> {
        let head = |uid: u32, octets: usize, keywords: &[&str]| Head {
            uid,
            octets: octets as u32,
            flags: Flags::SEEN | Flags::DRAFT,
            keywords: keywords.iter().map(|k| (*k).to_owned()).collect(),
            internal_date: InternalDate {
                seconds: -5,
                zone: -120,
            },
            email_id: [uid as u8; 16],
        };
        vec![
            (head(1, 3, &[]), b"a\0b".to_vec()),
            (head(7, 0, &["$Junk", "x"]), Vec::new()),
            (head(u32::MAX, 1000, &["y"]), vec![b'z'; 1000]),
        ]
    }

    #[test]
    fn messages_come_through_however_they_are_cut() {
        let mut all = BytesMut::new();
        for (head, body) in heads() {
            head.encode(&mut all);
            all.extend_from_slice(&body);
        }
        for size in [1, 2, 3, 7, 50, all.len()] {
            let mut decoder = Decoder::default();
            let mut got: Vec<(Head, Vec<u8>)> = Vec::new();
            for block in all.chunks(size) {
                decoder.push(block.to_vec());
                while let Some(piece) = decoder.next().unwrap() {
                    match piece {
                        Piece::Head(head) => got.push((head, Vec::new())),
                        Piece::Octets(octets) => got.last_mut().unwrap().1.extend(&octets),
                    }
                }
            }
            assert!(decoder.is_between_messages());
            assert_eq!(got, heads(), "by {size}");
        }
    }

    #[test]
    fn what_is_none_is_refused_and_what_is_cut_short_noticed() {
        let mut decoder = Decoder::default();
        decoder.push(b"From: somebody\r\n".to_vec());
        assert_eq!(decoder.next(), Err(NotMessages));
        let mut decoder = Decoder::default();
        decoder.push(vec![0, 0, 0, 3, 1, 2, 3]);
        assert_eq!(decoder.next(), Err(NotMessages));
        let mut all = BytesMut::new();
        heads()[0].0.encode(&mut all);
        let mut decoder = Decoder::default();
        decoder.push(all.to_vec());
        assert!(decoder.next().unwrap().is_some());
        assert!(decoder.next().unwrap().is_none());
        assert!(!decoder.is_between_messages());
    }
}
