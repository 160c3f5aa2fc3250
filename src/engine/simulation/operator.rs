//! What the operator of the simulated world thinks of.

use super::random::Random;
use crate::schedule::{CatchUpDefinition, Definition, TimingDefinition};
use ponos::event::Timestamp;

/// A schedule that suits the moment `wall`.
pub(super) fn definition(random: &mut Random, wall: i64, name: &str) -> Definition {
    let policy = *random.pick(&["latest", "all", "none"]);
    let catch_up = CatchUpDefinition {
        policy: Some(policy.into()),
        grace: Some((*random.pick(&["1s", "30s"])).into()),
        within: random.chance(20).then(|| "150s".into()),
        most: Some(5),
    };
    let mut definition = Definition {
        name: name.into(),
        event: Some(format!("test.{name}.happened")),
        catch_up: Some(catch_up),
        ..Definition::default()
    };
    match random.below(10) {
        0..6 => definition.every = Some((*random.pick(&["500ms", "900ms", "3s", "50s"])).into()),
        6 => {
            let every = |every: &str| TimingDefinition { every: Some(every.into()), ..Default::default() };
            definition.timings = Some(vec![every("2s"), every("7s")]);
        }
        7 => definition.cron = Some((*random.pick(&["*/2 * * * * *", "*/3 * * * *"])).into()),
        _ => {
            definition.at = Some(Timestamp::from_millis(wall + random.below(20_000)).to_string());
            definition.past = Some("send".into());
        }
    }
    if random.chance(35) {
        let interval = definition.every.as_deref().or(definition.cron.as_deref());
        let jitter = match interval {
            Some("500ms" | "900ms") => "450ms",
            Some("3s") => "2900ms",
            Some("50s") => "40s",
            Some("*/3 * * * *") => "100s",
            _ => "900ms",
        };
        definition.jitter = Some(jitter.into());
    }
    if definition.at.is_none() && random.chance(15) {
        definition.limit = Some(*random.pick(&[3, 12, 40]));
    }
    if random.chance(10) {
        definition.paused = Some(true);
    }
    definition
}
