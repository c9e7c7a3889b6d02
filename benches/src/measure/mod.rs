//! The measurements, one file each.

mod append;
mod deliver;
mod fetch;
mod login;
mod memory;
mod push;
mod rate;
mod select;
mod store;
pub mod up;

use crate::figure::Figure;
use crate::target::Target;
use crate::{Arguments, What};

/// Does one.
pub async fn run(
    what: What,
    target: &Target,
    arguments: &Arguments,
) -> anyhow::Result<Vec<Figure>> {
    match what {
        What::Up => up::measure(arguments).await,
        What::Memory => memory::measure(target, arguments).await,
        What::Select => select::measure(target, arguments).await,
        What::Push => push::measure(target).await,
        What::Login => login::measure(target, arguments).await,
        What::Append => append::measure(target, arguments).await,
        What::Deliver => deliver::measure(target, arguments).await,
        What::Fetch => fetch::measure(target, arguments).await,
        What::Store => store::measure(target, arguments).await,
    }
}
