//! What audit events say of changes.

use murder_proto::v1::{self, directory_operation, operation};

use super::caller::{Caller, audited};

/// A change of a mailbox's record.
pub(super) fn mailbox(caller: &Caller, revision: u64, kind: &operation::Kind) {
    use operation::Kind;
    match kind {
        Kind::Reserve(v1::ReserveRequest {
            name,
            partition,
            acl,
            ..
        }) => {
            let acl = rights(acl);
            audited!(
                caller,
                "mailbox.reserve",
                revision,
                mailbox = name,
                partition,
                acl
            );
        }
        Kind::Activate(v1::ActivateRequest { name, acl, .. }) => {
            let acl = acl.as_deref().map(rights);
            audited!(caller, "mailbox.activate", revision, mailbox = name, acl);
        }
        Kind::BeginDelete(v1::BeginDeleteRequest { name, .. }) => {
            audited!(caller, "mailbox.begin-delete", revision, mailbox = name);
        }
        Kind::Delete(v1::DeleteRequest { name, .. }) => {
            audited!(caller, "mailbox.delete", revision, mailbox = name);
        }
        Kind::Rename(v1::RenameRequest { from, to, subtree }) => {
            audited!(
                caller,
                "mailbox.rename",
                revision,
                mailbox = from,
                to,
                subtree
            );
        }
        Kind::SetAcl(v1::SetAclRequest { name, acl, .. }) => {
            audited!(
                caller,
                "mailbox.setacl",
                revision,
                mailbox = name,
                acl = rights(acl)
            );
        }
    }
}

/// What a reconciliation has changed.
pub(super) fn reconciled(caller: &Caller, revision: u64, difference: &v1::Difference) {
    let mailbox = difference.held.as_ref().or(difference.recorded.as_ref());
    let Some(mailbox) = mailbox.filter(|_| difference.applied) else {
        return;
    };
    let what = match difference.kind() {
        v1::DifferenceKind::Unknown => "added",
        v1::DifferenceKind::NotHeld => "dropped",
        v1::DifferenceKind::Replaced => "replaced",
        v1::DifferenceKind::Different
        | v1::DifferenceKind::Conflict
        | v1::DifferenceKind::Unspecified => "changed",
    };
    audited!(
        caller,
        "mailbox.reconcile",
        revision,
        what,
        mailbox = mailbox.name,
        partition = mailbox.partition,
        acl = rights(&mailbox.acl)
    );
}

/// A change of an account.
pub(super) fn account(caller: &Caller, revision: u64, kind: &directory_operation::Kind) {
    use directory_operation::Kind;
    let added = |account: &v1::Account, with_mail: bool| {
        let v1::Account {
            name,
            admin,
            disabled,
            ..
        } = account;
        let groups = account.groups.join(" ");
        audited!(
            caller,
            "account.add",
            revision,
            account = name,
            groups,
            admin,
            disabled,
            with_mail
        );
    };
    match kind {
        Kind::Add(account) => added(account, true),
        Kind::AddIfFree(request) => {
            added(
                &request.account.clone().unwrap_or_default(),
                request.with_mail,
            );
        }
        Kind::SetPassword(v1::SetPasswordRequest { name, .. }) => {
            audited!(caller, "account.password", revision, account = name);
        }
        Kind::Update(v1::UpdateUserRequest {
            name,
            groups,
            admin,
            disabled,
        }) => {
            let groups = groups.as_ref().map(|groups| groups.groups.join(" "));
            audited!(
                caller,
                "account.update",
                revision,
                account = name,
                groups,
                admin,
                disabled
            );
        }
        Kind::Delete(v1::DeleteUserRequest { name }) => {
            audited!(caller, "account.delete", revision, account = name);
        }
    }
}

/// An ACL for one line.
fn rights(acl: &str) -> String {
    acl.trim_end_matches('\t').replace('\t', " ")
}
