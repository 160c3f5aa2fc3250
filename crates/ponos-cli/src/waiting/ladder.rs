//! What can be told of retries that wait on the broker: how many are on each rung of the ladder.

use super::choice::UNKNOWN;
use crate::{connection::Options, exit::Exit, output, trouble::Trouble};
use ponos::{text::counted, topology::worker::LADDER};
use serde_json::json;

/// Prints the depth of each rung.
pub(super) async fn run(options: &Options, as_json: bool) -> Result<Exit, Trouble> {
    let transport = options.transport("ponos waiting").await?;
    let (mut depths, mut all) = (Vec::new(), 0);
    for (rung, _) in LADDER {
        let ready = transport.inspect(rung).await?.map(|state| state.ready);
        all += ready.unwrap_or(0);
        depths.push((rung, ready));
    }
    output::print(|out| {
        depths.iter().try_for_each(|(rung, ready)| match (as_json, ready) {
            (true, ready) => writeln!(out, "{}", json!({ "rung": rung, "ready": ready })),
            (false, Some(ready)) => writeln!(out, "{rung:<10}  {ready}"),
            (false, None) => writeln!(out, "{rung:<10}  (there is no such queue)"),
        })
    })?;
    if !as_json {
        output::complain(&format!("{} waiting; {UNKNOWN}", counted(all, "message")));
    }
    Ok(Exit::Done)
}
