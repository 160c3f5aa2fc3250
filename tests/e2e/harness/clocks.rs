//! Several clocks of one name on one database.

use super::{Clock, Expected, LIMIT};
use serde_json::Value;
use testkit::block_until_or_tell;

/// All that they said.
pub(crate) fn log(clocks: &[Clock]) -> String {
    clocks.iter().enumerate().map(|(at, clock)| format!("--- clock {at}\n{}", clock.log())).collect()
}

/// Starts those that do not run; none has ended by itself.
pub(crate) fn start_all(clocks: &mut [Clock]) {
    clocks.iter_mut().for_each(Clock::assert_goes_on);
    clocks.iter_mut().filter(|clock| !clock.runs()).for_each(Clock::start);
}

/// The terms under which they have led, as each said when it began.
pub(crate) fn terms(clocks: &[Clock]) -> Vec<i64> {
    let led = |line: &str| -> Option<i64> {
        let (_, said) = line.split_once("this clock leads")?;
        said.split_once("term=")?.1.split_whitespace().next()?.parse().ok()
    };
    log(clocks).lines().filter_map(led).collect()
}

/// Which one leads, and is ready; it is waited for.
pub(crate) fn leader(clocks: &[Clock]) -> usize {
    ready(clocks, "a leader", |body| body["role"] == "leader")
}

/// One that is ready to take over.
pub(crate) fn follower(clocks: &[Clock]) -> usize {
    ready(clocks, "a follower", |body| body["role"] == "follower" && body["leader"].is_string())
}

fn ready(clocks: &[Clock], what: &str, wanted: impl Fn(&Value) -> bool) -> usize {
    let is_it = |clock: &Clock| {
        let seen = if clock.runs() { clock.get("/readyz") } else { None };
        seen.is_some_and(|(status, body)| status == 200 && wanted(&body))
    };
    block_until_or_tell(what, LIMIT, || clocks.iter().position(is_it), || log(clocks))
}

/// Stops them with nothing outstanding; what is in their database then.
pub(crate) fn settled(clocks: &mut [Clock], database: &str) -> Expected {
    for _ in 0..10 {
        let is_calm = |body: &Value| body["role"] == "leader" && body["outstanding"] == 0;
        let leader = ready(clocks, "a leader that has caught up", is_calm);
        // Followers first: nobody takes over.
        for at in (0..clocks.len()).filter(|at| *at != leader).chain([leader]) {
            if clocks[at].runs() {
                clocks[at].stop();
            }
        }
        if let Some(expected) = Expected::in_postgres(database) {
            return expected;
        }
        start_all(clocks);
    }
    panic!("ten times something was outstanding:\n{}", log(clocks));
}
