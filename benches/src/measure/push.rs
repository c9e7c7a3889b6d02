//! How soon a client that idles at one frontend hears of what another has appended.

use std::time::Instant;

use murder_testkit::corpus::Generator;

use crate::figure::Figure;
use crate::target::Target;

const ROUNDS: u32 = 500;

pub async fn measure(target: &Target) -> anyhow::Result<Vec<Figure>> {
    let user = target.user(1);
    let mut idler = target.client_at(1, &user).await?;
    let mut writer = target.client_at(0, &user).await?;
    Target::have(&mut writer, "Push").await?;
    idler.select("Push").await?;
    let tag = idler.idle().await?;
    let mut generator = Generator::new(1);
    let mut times = Vec::new();
    for _ in 0..ROUNDS {
        let message = generator.sized(1024);
        let begun = Instant::now();
        let (appended, told) = tokio::join!(
            writer.append("Push", "", &message),
            idler.wait_for("EXISTS")
        );
        appended?;
        told?;
        times.push(begun.elapsed());
    }
    idler.done(&tag).await?;
    let detail = "from the APPEND's first byte to the EXISTS at the other frontend";
    Ok(vec![
        Figure::median("push to an idling client", times, detail).goal(3.0),
    ])
}
