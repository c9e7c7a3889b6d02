//! Quotas (RFC 9208).

/// `quota-resource` of a QUOTA response.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct QuotaResource {
    /// Its name in upper case: `STORAGE`, `MESSAGE`, `MAILBOX`, ….
    pub name: String,
    /// How much is used, in the units of the resource; STORAGE in KiB.
    pub usage: u64,
    /// How much may be used.
    pub limit: u64,
}
