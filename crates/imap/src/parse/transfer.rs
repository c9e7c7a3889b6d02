//! What nodes say to each other about COPY and MOVE: see [`transfer`](crate::transfer).

use super::token::{
    Parsed, expect, literal8, mailbox, number, number64, sequence_set, sp, text, upper_atom, word,
};
use crate::command::Command;
use crate::transfer::TransferCommand;

/// ```abnf
/// x-claim         = "X-CLAIM" SP ("COPY" / "MOVE") SP ["UID" SP] sequence-set
/// ```
pub(super) fn claim(input: &[u8]) -> Parsed<'_, Command> {
    let (rest, what) = upper_atom(input)?;
    let moving = match what.as_str() {
        "COPY" => false,
        "MOVE" => true,
        _ => return super::token::refuse("COPY or MOVE"),
    };
    let (rest, ()) = sp(rest)?;
    let (rest, uid) = match word("UID")(rest).and_then(|(rest, ())| sp(rest)) {
        Ok((rest, ())) => (rest, true),
        Err(_) => (rest, false),
    };
    let (rest, set) = sequence_set(rest)?;
    of(rest, TransferCommand::Claim { moving, uid, set })
}

/// ```abnf
/// x-leave         = "X-LEAVE" SP id SP node SP partition SP number64
/// id              = astring
/// node            = astring
/// partition       = astring
/// ```
pub(super) fn leave(input: &[u8]) -> Parsed<'_, Command> {
    let (rest, id) = expect("an id", text)(input)?;
    let (rest, ()) = sp(rest)?;
    let (rest, node) = expect("a node", text)(rest)?;
    let (rest, ()) = sp(rest)?;
    let (rest, partition) = expect("a partition", text)(rest)?;
    let (rest, ()) = sp(rest)?;
    let (rest, home) = number64(rest)?;
    let leave = TransferCommand::Leave {
        id,
        node,
        partition,
        home,
    };
    of(rest, leave)
}

/// ```abnf
/// x-receive       = "X-RECEIVE" SP id SP mailbox SP number SP number64
/// ```
pub(super) fn receive(input: &[u8]) -> Parsed<'_, Command> {
    let (rest, id) = expect("an id", text)(input)?;
    let (rest, ()) = sp(rest)?;
    let (rest, mailbox) = mailbox(rest)?;
    let (rest, ()) = sp(rest)?;
    let (rest, messages) = number(rest)?;
    let (rest, ()) = sp(rest)?;
    let (rest, octets) = number64(rest)?;
    let receive = TransferCommand::Receive {
        id,
        mailbox,
        messages,
        octets,
    };
    of(rest, receive)
}

/// ```abnf
/// x-stage         = "X-STAGE" SP literal8
/// ```
pub(super) fn stage(input: &[u8]) -> Parsed<'_, Command> {
    let (rest, block) = literal8(input)?;
    let block = block.to_vec();
    of(rest, TransferCommand::Stage { block })
}

/// ```abnf
/// x-adopt         = "X-ADOPT" SP number
/// ```
pub(super) fn adopt(input: &[u8]) -> Parsed<'_, Command> {
    let (rest, messages) = number(input)?;
    of(rest, TransferCommand::Adopt { messages })
}

/// ```abnf
/// x-outcome       = "X-OUTCOME" SP id SP partition SP number64
/// ```
pub(super) fn outcome(input: &[u8]) -> Parsed<'_, Command> {
    let (rest, id) = expect("an id", text)(input)?;
    let (rest, ()) = sp(rest)?;
    let (rest, partition) = expect("a partition", text)(rest)?;
    let (rest, ()) = sp(rest)?;
    let (rest, home) = number64(rest)?;
    let outcome = TransferCommand::Outcome {
        id,
        partition,
        home,
    };
    of(rest, outcome)
}

#[expect(clippy::unnecessary_wraps, reason = "a parser's form")]
fn of(rest: &[u8], command: TransferCommand) -> Parsed<'_, Command> {
    Ok((rest, Command::Transfer(command)))
}
