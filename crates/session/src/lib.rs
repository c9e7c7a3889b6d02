//! What sessions of all protocols and both roles share: how somebody logs in, what may not be
//! overstepped, who is logged in, and how a session ends.
//!
//! * [`Offer`] says by what a client may log in, takes the SASL exchange to its [`Credentials`], and
//!   [`Sessions::log_in`] checks them. [`Login`] is what a session knows before that.
//! * A session is in the register ([`Sessions`]) from its login to its end. When an account changes,
//!   the register looks only at the sessions of that account, decides for each whether it may go on,
//!   and wakes those that have to know: they end with a last word, or look their identity up again.
//!   Operators see the register and end sessions through [`admin`].
//! * [`Watch`] ends a wait for the client, [`Goodbye`] says why a session ends, and [`close`] closes
//!   its connection so that the client hears it.
//! * [`ClientStream`] gives up clients that do not read, [`LineCutter`] cuts lines off what a client
//!   sends, [`Pool`] keeps connections that nobody uses at the moment.
//! * [`rows`] works LIST rows out so that nobody else waits.
//!
//! It speaks no protocol: each makes its own answers of [`NotLoggedIn`] and [`Goodbye`].
//!
//! Invariant: from the moment that a changed account can be looked up in the directory, no session
//! goes on by the earlier one unnoticed: a session enters the register first and is compared with
//! the directory then.

pub mod admin;
mod goodbye;
mod limits;
mod line;
mod listing;
mod login;
mod metrics;
mod offer;
mod pool;
mod register;
mod stream;

pub use goodbye::{Goodbye, Interruption, Watch, close};
pub use limits::{BadCommands, HANDSHAKE};
pub use line::{LineCutter, TooLong};
pub use listing::rows;
pub use login::{Credentials, LoggedIn, Login, NotLoggedIn, Password};
pub use metrics::SessionMetrics;
pub use offer::{Offer, response};
pub use pool::{Kept, Pool, PoolLimits};
pub use register::{
    About, CUT_OFF_AFTER, Claim, End, Listed, News, NotEntered, Overdue, Presence, Protocol,
    Sessions, ShownMailbox, news_of,
};
pub use stream::ClientStream;
