//! Operations on mailboxes.

use std::collections::HashSet;

use murder_auth::may_be_made;
use murder_mailbox::MailboxName;
use murder_proto::v1::{self, ErrorKind, operation::Kind};

use super::{
    Changing, Outcome, Refusal, held_by, parse_acl, parse_id, parse_name, parse_partition, refuse,
};
use murder_location::record::{
    Change, Location, Mailbox, MailboxState, MailboxType, special_uses_from,
};

/// The most mailboxes that one rename may move: all of them are one revision, which every
/// replica holds in memory at once.
const MAX_RENAME: usize = 100_000;

/// A home is made for nobody but who could log in.
fn check_new(name: &MailboxName) -> Result<(), Refusal> {
    match may_be_made(name) {
        true => Ok(()),
        false => refuse(
            ErrorKind::InvalidArgument,
            format!("{name}: nobody can log in by the name of its home"),
        ),
    }
}

impl Changing<'_> {
    pub(super) fn batch(&mut self, batch: &v1::Batch) -> Outcome {
        Outcome::Batch(
            batch
                .operations
                .iter()
                .map(|operation| match &operation.kind {
                    Some(Kind::Reserve(request)) => self.reserve(request),
                    Some(Kind::Activate(request)) => self.activate(request),
                    Some(Kind::BeginDelete(request)) => self.begin_delete(request),
                    Some(Kind::Delete(request)) => self.delete(request),
                    Some(Kind::Rename(request)) => self.rename(request),
                    Some(Kind::SetAcl(request)) => self.set_acl(request),
                    None => refuse(ErrorKind::InvalidArgument, "no operation"),
                })
                .collect(),
        )
    }

    pub(super) fn put(&mut self, name: &MailboxName, location: Location) -> Option<Mailbox> {
        self.change(Change::Mailbox(name.clone(), Some(location.clone())));
        Some(Mailbox {
            name: name.clone(),
            location,
        })
    }

    /// The record of that name; with an id, only of that mailbox.
    fn existing(&self, name: &MailboxName, id: &[u8]) -> Result<Location, Refusal> {
        let Some(location) = self.state.tables.map.find(name) else {
            return refuse(ErrorKind::NotFound, format!("no mailbox {name}"));
        };
        if !id.is_empty() && location.id != parse_id(id)? {
            return Err(held_by(
                ErrorKind::FailedPrecondition,
                format!("{name} is another mailbox by now"),
                name,
                &location,
            ));
        }
        Ok(location)
    }

    fn reserve(&mut self, request: &v1::ReserveRequest) -> Result<Option<Mailbox>, Refusal> {
        let name = parse_name(&request.name)?;
        let id = parse_id(&request.id)?;
        let partition = parse_partition(&request.partition)?;
        let acl = parse_acl(&request.acl)?;
        self.demand(&partition)?;
        check_new(&name)?;
        if let Some(holder) = self.state.tables.map.find(&name) {
            // The answer to the first try was lost.
            let again = holder.id == id
                && holder.partition == partition
                && holder.state == MailboxState::Reserved;
            if again {
                return Ok(Some(Mailbox {
                    name,
                    location: holder,
                }));
            }
            return Err(taken(&name, &holder));
        }
        self.demand_id(&id, &partition)?;
        let location = Location {
            id,
            partition,
            acl,
            state: MailboxState::Reserved,
            uidvalidity: self.next_uidvalidity()?,
            special_use: special_uses_from(&request.special_use),
            mailbox_type: MailboxType::Mail,
            reserved_revision: self.revision,
        };
        Ok(self.put(&name, location))
    }

    fn activate(&mut self, request: &v1::ActivateRequest) -> Result<Option<Mailbox>, Refusal> {
        let name = parse_name(&request.name)?;
        parse_id(&request.id)?;
        let before = self.existing(&name, &request.id)?;
        self.demand(&before.partition)?;
        let mut after = before.clone();
        if let Some(acl) = &request.acl {
            after.acl = parse_acl(acl)?;
        }
        if let Some(uidvalidity) = request.uidvalidity
            && uidvalidity != before.uidvalidity
        {
            if uidvalidity < before.uidvalidity {
                return refuse(ErrorKind::FailedPrecondition, "UIDVALIDITY never shrinks");
            }
            if self.is_far_ahead(uidvalidity) {
                return refuse(
                    ErrorKind::FailedPrecondition,
                    format!("UIDVALIDITY {uidvalidity} is decades ahead of all others"),
                );
            }
            after.uidvalidity = uidvalidity;
            self.saw_uidvalidity(uidvalidity);
        }
        after.state = MailboxState::Active;
        after.reserved_revision = 0;
        if after == before {
            let location = before;
            return Ok(Some(Mailbox { name, location }));
        }
        Ok(self.put(&name, after))
    }

    fn begin_delete(
        &mut self,
        request: &v1::BeginDeleteRequest,
    ) -> Result<Option<Mailbox>, Refusal> {
        let name = parse_name(&request.name)?;
        parse_id(&request.id)?;
        let mut location = self.existing(&name, &request.id)?;
        self.demand(&location.partition)?;
        if location.state == MailboxState::Reserved {
            return refuse(
                ErrorKind::FailedPrecondition,
                format!("{name} is not there yet"),
            );
        }
        location.state = MailboxState::Deleting;
        Ok(self.put(&name, location))
    }

    fn delete(&mut self, request: &v1::DeleteRequest) -> Result<Option<Mailbox>, Refusal> {
        let name = parse_name(&request.name)?;
        let location = self.existing(&name, &request.id)?;
        self.demand(&location.partition)?;
        self.change(Change::Mailbox(name, None));
        Ok(None)
    }

    fn set_acl(&mut self, request: &v1::SetAclRequest) -> Result<Option<Mailbox>, Refusal> {
        let name = parse_name(&request.name)?;
        let mut location = self.existing(&name, &request.id)?;
        self.demand(&location.partition)?;
        location.acl = parse_acl(&request.acl)?;
        Ok(self.put(&name, location))
    }

    fn rename(&mut self, request: &v1::RenameRequest) -> Result<Option<Mailbox>, Refusal> {
        let from = parse_name(&request.from)?;
        let to = parse_name(&request.to)?;
        check_new(&to)?;
        if from == to || (request.subtree && to.is_below(&from)) {
            return refuse(
                ErrorKind::InvalidArgument,
                format!("{from} cannot become {to}"),
            );
        }
        let map = &self.state.tables.map;
        let below = request.subtree.then(|| map.below(&from));
        let moved: Vec<(MailboxName, Location)> = map
            .entry(from.as_str())
            .into_iter()
            .chain(below.into_iter().flatten())
            .take(MAX_RENAME + 1)
            .map(|entry| (entry.mailbox_name(), entry.location()))
            .collect();
        if moved.is_empty() {
            return refuse(ErrorKind::NotFound, format!("no mailbox {from}"));
        }
        if moved.len() > MAX_RENAME {
            return refuse(
                ErrorKind::TooLarge,
                format!("more than {MAX_RENAME} mailboxes below {from}"),
            );
        }
        let old: HashSet<&str> = moved.iter().map(|(name, _)| name.as_str()).collect();
        let mut new_names = Vec::with_capacity(moved.len());
        for (name, location) in &moved {
            self.demand(&location.partition)?;
            if location.state != MailboxState::Active {
                return Err(held_by(
                    ErrorKind::FailedPrecondition,
                    format!("{name} is being created or deleted"),
                    name,
                    location,
                ));
            }
            let new = match name.moved(&from, &to) {
                Some(Ok(new)) => new,
                Some(Err(e)) => {
                    return refuse(
                        ErrorKind::InvalidArgument,
                        format!("new name of {name}: {e}"),
                    );
                }
                None => unreachable!("only names at and below `from` were taken"),
            };
            if !old.contains(new.as_str())
                && let Some(holder) = self.state.tables.map.find(&new)
            {
                return Err(taken(&new, &holder));
            }
            new_names.push(new);
        }
        for (name, _) in &moved {
            self.change(Change::Mailbox(name.clone(), None));
        }
        let mut root = None;
        for (new, (_, location)) in new_names.into_iter().zip(moved) {
            let mailbox = self.put(&new, location);
            if new == to {
                root = mailbox;
            }
        }
        Ok(root)
    }

    /// Frees what was reserved up to a revision in the partitions that `of` names.
    pub(super) fn drop_reservations(&mut self, up_to_revision: u64, of: impl Fn(&str) -> bool) {
        let dead: Vec<MailboxName> = self
            .state
            .tables
            .map
            .unsettled()
            .filter(|entry| entry.state() == MailboxState::Reserved && of(entry.partition()))
            .filter(|entry| entry.location().reserved_revision <= up_to_revision)
            .map(|entry| entry.mailbox_name())
            .collect();
        for name in dead {
            self.change(Change::Mailbox(name, None));
        }
    }
}

fn taken(name: &MailboxName, holder: &Location) -> Refusal {
    let message = format!("{name} exists in {}", holder.partition);
    held_by(ErrorKind::AlreadyExists, message, name, holder)
}
